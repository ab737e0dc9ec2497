//! Values that scripts and Rust programs exchange.

use std::collections::BTreeMap;
use std::fmt::Debug;

use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::v8::{self, Date};
use openkv_engine::{AtomicWrite, Database, Enqueue, Key, Value};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize, Serializer};

use crate::support::{Sandbox, TIMEOUT};

type Texts = BTreeMap<String, String>;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i32, i32),
    Box { width: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    text: String,
    latin: String,
    wide: String,
    char: char,
    small: i32,
    large: u64,
    larger: u64,
    smallest: i64,
    huge: i128,
    float: f64,
    bool: bool,
    none: Option<u8>,
    some: Option<u8>,
    unit: (),
    date: Date,
    list: Vec<Vec<u16>>,
    tuple: (u8, String),
    map: BTreeMap<String, u8>,
    indexes: BTreeMap<u32, String>,
    shapes: Vec<Shape>,
}

impl Everything {
    fn new() -> Self {
        Self {
            text: "text".into(),
            latin: "naïve".into(),
            wide: "日本 🦕".into(),
            char: 'ß',
            small: -7,
            large: 1 << 40,
            larger: u64::MAX,
            smallest: i64::MIN,
            huge: -(1 << 100),
            float: 0.1,
            bool: true,
            none: None,
            some: Some(1),
            unit: (),
            date: Date(86_400_000.0),
            list: vec![vec![1, 2], vec![]],
            tuple: (1, "two".into()),
            map: [("a".to_string(), 1), ("語".to_string(), 2)].into(),
            indexes: [(5, "five".to_string()), (u32::MAX - 1, "last".to_string())].into(),
            shapes: vec![Shape::Empty, Shape::Circle(1.5), Shape::Line(1, -1), Shape::Box { width: 2 }],
        }
    }
}

/// [`Everything`], as a JavaScript expression.
const EVERYTHING: &str = r#"({
    text: "text", latin: "naïve", wide: "日本 🦕", char: "ß",
    small: -7, large: 2 ** 40, larger: 2n ** 64n - 1n, smallest: -(2n ** 63n), huge: -(2n ** 100n), float: 0.1,
    bool: true, none: null, some: 1, unit: null, date: new Date("1970-01-02"),
    list: [[1, 2], []], tuple: [1, "two"], map: { a: 1, "語": 2 }, indexes: { 5: "five", 4294967294: "last" },
    shapes: ["Empty", { Circle: 1.5 }, { Line: [1, -1] }, { Box: { width: 2 } }],
})"#;

/// Opens the file `kv` of the sandbox.
fn open(sandbox: &Sandbox) -> Database {
    sqlite::open(Location::file(sandbox.path("kv")), Options::default()).unwrap()
}

/// Lets a script store values under names, and opens the database.
fn stored(sandbox: &Sandbox, values: &str) -> Database {
    let script = format!(
        "const kv = await Deno.openKv('kv');
         for (const [name, value] of Object.entries({values})) await kv.set([name], value);
         kv.close();"
    );
    assert_eq!(sandbox.run(&script).stdout(), "");
    open(sandbox)
}

#[track_caller]
fn read<T: DeserializeOwned>(database: &Database, name: &str) -> T {
    let value = database.get_blocking(&Key::from([name])).unwrap().expect("the script set it").value;
    value.decode().unwrap_or_else(|error| panic!("{name}: {error}: {value:?}"))
}

#[test]
fn rust_reads_values_of_a_script() {
    let sandbox = Sandbox::new();
    let database = stored(&sandbox, &format!("{{ everything: {EVERYTHING} }}"));
    assert_eq!(read::<Everything>(&database, "everything"), Everything::new());
}

#[test]
fn rust_reads_javascript_specific_values() {
    let sandbox = Sandbox::new();
    let database = stored(
        &sandbox,
        r#"{
            undefined: undefined,
            holes: [1, , 3, ,],
            sparse: Object.assign([], { 2: "c", length: 4, name: "ignored" }),
            named: Object.assign([1, 2], { name: "ignored" }),
            set: new Set(["a", "b"]),
            map: new Map([[1, "one"], [2, "two"]]),
            objects: [new Boolean(true), new Number(1.5), new String("text"), Object(7n)],
            regexp: /a(b)/giu,
            error: Object.assign(new RangeError("too far", { cause: { a: [1] } }), { stack: "RangeError: too far\n  at" }),
            bytes: { bytes: new Uint8Array([1, 2, 3]), empty: new Uint8Array() },
            buffer: new Uint8Array([4, 5]).buffer,
            resizable: new ArrayBuffer(2, { maxByteLength: 8 }),
            view: new DataView(new Uint8Array([1, 2, 3]).buffer, 1),
            clamped: new Uint8ClampedArray([300]),
            i8: new Int8Array([-1, 2]), i16: new Int16Array([-1, 2]), i32: new Int32Array([-1, 2]),
            u16: new Uint16Array([1, 2]), u32: new Uint32Array([1, 2]),
            f32: new Float32Array([-0.5, 2]), f64: new Float64Array([-0.5, 2]),
            i64: new BigInt64Array([-1n, 2n]), u64: new BigUint64Array([1n, 2n]),
            shared: ((a) => [a, a, a.x])({ x: { y: 1 } }),
            views: ((buffer) => [new Uint8Array(buffer, 0, 2), new Uint8Array(buffer, 1), buffer])(new Uint8Array([1, 2, 3]).buffer),
            cycle: ((a) => (a.self = a))({ x: 1 }),
            numbers: [0, -0, NaN, -Infinity, 1e300],
            surrogate: "a\ud800",
            invalid: new Date(NaN),
            raw: new Uint8Array([7, 8]),
            u64value: new Deno.KvU64(2n ** 64n - 1n),
            deep: Array(20).fill(0).reduce((value) => [value], 1),
            tooDeep: Array(1000).fill(0).reduce((value) => [value], 1),
        }"#,
    );

    assert_eq!(read::<Option<u8>>(&database, "undefined"), None);
    assert_eq!(read::<Vec<Option<u8>>>(&database, "holes"), [Some(1), None, Some(3), None]);
    assert_eq!(read::<Vec<Option<String>>>(&database, "sparse"), [None, None, Some("c".into()), None]);
    assert_eq!(read::<Vec<u8>>(&database, "named"), [1, 2]);
    assert_eq!(read::<Vec<String>>(&database, "set"), ["a", "b"]);
    assert_eq!(read::<BTreeMap<u8, String>>(&database, "map"), [(1, "one".into()), (2, "two".into())].into());
    assert_eq!(read::<(bool, f64, String, i8)>(&database, "objects"), (true, 1.5, "text".into(), 7));
    let texts = |pairs: &[(&str, &str)]| -> Texts { pairs.iter().map(|&(a, b)| (a.into(), b.into())).collect() };
    assert_eq!(read::<Texts>(&database, "regexp"), texts(&[("source", "a(b)"), ("flags", "giu")]));
    let error = texts(&[("name", "RangeError"), ("message", "too far"), ("stack", "RangeError: too far\n  at")]);
    assert_eq!(read::<Texts>(&database, "error"), error);
    let bytes: BTreeMap<String, Vec<u8>> = read(&database, "bytes");
    assert_eq!((&*bytes["bytes"], &*bytes["empty"]), (&[1, 2, 3][..], &[][..]));
    for (name, bytes) in [
        ("buffer", vec![4u8, 5]),
        ("resizable", vec![0, 0]),
        ("view", vec![2, 3]),
        ("clamped", vec![255]),
        ("raw", vec![7, 8]),
    ] {
        assert_eq!(read::<Vec<u8>>(&database, name), bytes, "{name}");
    }
    for name in ["i8", "i16", "i32", "i64"] {
        assert_eq!(read::<Vec<i64>>(&database, name), [-1, 2], "{name}");
    }
    for name in ["u16", "u32", "u64"] {
        assert_eq!(read::<Vec<u64>>(&database, name), [1, 2], "{name}");
    }
    for name in ["f32", "f64"] {
        assert_eq!(read::<Vec<f64>>(&database, name), [-0.5, 2.0], "{name}");
    }
    type Inner = BTreeMap<String, u8>;
    let (first, second, inner): (BTreeMap<String, Inner>, BTreeMap<String, Inner>, Inner) = read(&database, "shared");
    assert_eq!((&first, &first["x"]), (&second, &inner));
    assert_eq!(read::<Vec<Vec<u8>>>(&database, "views"), [vec![1, 2], vec![2, 3], vec![1, 2, 3]]);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Cycle {
        x: u8,
    }
    assert_eq!(read::<Cycle>(&database, "cycle"), Cycle { x: 1 });
    let numbers: Vec<f64> = read(&database, "numbers");
    assert_eq!(format!("{numbers:?}"), "[0.0, -0.0, NaN, -inf, 1e300]");
    assert_eq!(read::<String>(&database, "surrogate"), "a\u{fffd}");
    assert!(read::<Date>(&database, "invalid").0.is_nan());
    assert_eq!(read::<u64>(&database, "u64value"), u64::MAX);
    read::<IgnoredAny>(&database, "deep");

    let too_deep = database.get_blocking(&Key::from(["tooDeep"])).unwrap().unwrap().value;
    assert_eq!(too_deep.decode::<IgnoredAny>().map(drop), Err(v8::Error::TooDeep { max: v8::MAX_DEPTH }));
}

struct Bytes(&'static [u8]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[test]
fn script_reads_values_of_rust() {
    let sandbox = Sandbox::new();
    let database = open(&sandbox);
    let set = |name: &str, value: Value| database.set_blocking(Key::from([name]), value).unwrap();
    set("everything", Value::encode(&Everything::new()).unwrap());
    set("bytes", Value::encode(&("a", Bytes(&[1, 2]), Bytes(&[]), "日")).unwrap());
    set("numbers", Value::encode(&[0.0, -0.0, f64::NAN, f64::INFINITY, 1e300]).unwrap());
    set("integers", Value::encode(&((1u64 << 53) - 1, 1u64 << 53, -(1i64 << 53), 0u128)).unwrap());
    set("keys", Value::encode(&BTreeMap::from([(-1, true), (1i64 << 40, false)])).unwrap());
    set("raw", Value::Bytes(vec![1, 2]));
    set("u64", Value::U64(u64::MAX));
    let message = v8::to_vec(&Shape::Circle(2.0)).unwrap();
    database.write_blocking(AtomicWrite::new().enqueue(Enqueue::new(message))).unwrap().into_result().unwrap();
    database.close();
    wait_closed(TIMEOUT);

    // The values of Rust equal those of the script, at any depth, and are stored in the same bytes except for the version of the
    // format.
    let script = format!(
        "const kv = await Deno.openKv('kv');
         const get = async (name) => (await kv.get([name])).value;
         const shown = (value) => Deno.inspect(value, {{ depth: 100, sorted: false }});
         const everything = {EVERYTHING};
         console.log(shown(await get('everything')) === shown(everything));
         await kv.set(['copy'], everything);
         for (const name of ['bytes', 'numbers', 'integers', 'keys', 'raw', 'u64']) console.log(shown(await get(name)));
         const {{ promise, resolve }} = Promise.withResolvers();
         kv.listenQueue(resolve);
         console.log(await promise);
         kv.close();"
    );
    let printed = r#"true
[ "a", Uint8Array(2) [ 1, 2 ], Uint8Array(0) [], "日" ]
[ 0, -0, NaN, Infinity, 1e+300 ]
[ 9007199254740991, 9007199254740992n, -9007199254740992n, 0n ]
{ "-1": true, "1099511627776": false }
Uint8Array(2) [ 1, 2 ]
[Deno.KvU64: 18446744073709551615n]
{ Circle: 2 }
"#;
    assert_eq!(sandbox.run(&script).stdout(), printed);

    let database = open(&sandbox);
    let body = |name: &str| match database.get_blocking(&Key::from([name])).unwrap().unwrap().value {
        Value::V8(bytes) => bytes[2..].to_vec(),
        value => panic!("{value:?}"),
    };
    assert_eq!(body("everything"), body("copy"));
}
