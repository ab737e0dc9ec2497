use std::collections::BTreeMap;
use std::fmt::Debug;
use std::thread;

use serde::de::IgnoredAny;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i32, i32),
    Box { width: u8 },
}

#[derive(Debug, Deserialize)]
struct Node {
    #[expect(dead_code, reason = "only whether it can be read matters")]
    next: Option<Box<Node>>,
}

/// Decodes a value from the bytes after the header.
fn decode<T: DeserializeOwned>(body: impl AsRef<[u8]>) -> Result<T, Error> {
    from_slice(&[&[0xff, 15], body.as_ref()].concat())
}

#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let bytes = to_vec(&value).unwrap();
    assert_eq!(from_slice::<T>(&bytes).unwrap(), value, "{bytes:?}");
    assert!(from_slice::<IgnoredAny>(&bytes).is_ok(), "{bytes:?}");
}

#[test]
fn encoded_values_are_decoded() {
    round_trip((true, 'ä', "日本".to_string(), String::new(), "naïve".to_string()));
    round_trip((i8::MIN, u8::MAX, i16::MIN, u16::MAX, i32::MIN, u32::MAX, i64::MIN, u64::MAX));
    round_trip((i128::MIN, u128::MAX, 0u128, -1i128, 1u64 << 53, (1i64 << 53) - 1));
    round_trip((0.5f32, -0.0, f64::INFINITY, f64::MIN_POSITIVE, 1e300));
    round_trip((None::<u8>, Some(3), (), vec![vec![1u8], vec![]]));
    round_trip([Shape::Empty, Shape::Circle(1.0), Shape::Line(1, -1), Shape::Box { width: 2 }]);
    round_trip(BTreeMap::from([("a".to_string(), Date(5.0)), ("日".to_string(), Date(-0.5))]));
    round_trip(BTreeMap::from([(7u32, "seven".to_string()), (u32::MAX, "last".to_string())]));
    assert!(from_slice::<f64>(&to_vec(&f64::NAN).unwrap()).unwrap().is_nan());
    assert_eq!(from_slice::<f64>(&to_vec(&-0.0).unwrap()).unwrap().to_bits(), (-0.0f64).to_bits());
}

#[test]
fn encoding_is_identical_to_v8s() {
    let object = BTreeMap::from([("a", "é"), ("b", "日本")]);
    assert_eq!(to_vec(&object).unwrap(), b"\xff\x0fo\"\x01a\"\x01\xe9\"\x01bc\x04\xe5\x65\x2c\x67{\x02");
    assert_eq!(to_vec("日").unwrap(), b"\xff\x0fc\x02\xe5\x65");
    assert_eq!(to_vec(&["日"]).unwrap(), b"\xff\x0fA\x01c\x02\xe5\x65$\0\x01");
    assert_eq!(to_vec(&(-1, 1u64 << 40)).unwrap(), b"\xff\x0fA\x02I\x01N\0\0\0\0\0\0\x70\x42$\0\x02");
    assert_eq!(to_vec(&-1i128).unwrap(), b"\xff\x0fZ\x11\x01\0\0\0\0\0\0\0");
    assert_eq!(to_vec(&Date(0.0)).unwrap(), b"\xff\x0fD\0\0\0\0\0\0\0\0");
}

#[test]
fn sequence_of_unknown_length_is_encoded() {
    struct Even;
    impl Serialize for Even {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..300).filter(|number| number % 2 == 0))
        }
    }
    let numbers: Vec<Vec<u16>> = from_slice(&to_vec(&[Even, Even]).unwrap()).unwrap();
    assert_eq!(numbers, vec![(0..300).step_by(2).collect::<Vec<_>>(); 2]);
}

#[test]
fn values_that_only_scripts_write_are_decoded() {
    assert_eq!(decode::<Option<bool>>("_"), Ok(None));
    assert_eq!(decode::<Vec<Option<i32>>>("A\x03I\x02-I\x04$\0\x03"), Ok(vec![Some(1), None, Some(2)]));
    // [, 1, , 2, ,] with a property.
    let sparse = b"a\x05I\x02I\x02I\x06I\x04\"\x01xT@\x03\x05";
    assert_eq!(decode::<Vec<Option<i32>>>(sparse), Ok(vec![None, Some(1), None, Some(2), None]));
    assert_eq!(decode::<(Vec<u8>, u8)>("A\x02'I\x02I\x04,\x02I\x06$\0\x02"), Ok((vec![1, 2], 3)));
    assert_eq!(decode::<BTreeMap<bool, u8>>(";TI\x02FI\x04:\x04"), Ok([(true, 1), (false, 2)].into()));
    assert_eq!(decode::<BTreeMap<u8, bool>>("oI\x02TI\x04F{\x02"), Ok([(1, true), (2, false)].into()));
    assert_eq!(decode::<(String, bool)>("A\x02s\"\x01ay$\0\x02"), Ok(("a".into(), true)));
    assert_eq!(decode::<String>(b"c\x02\x00\xd8"), Ok("\u{fffd}".into()));
    assert_eq!(decode::<Vec<i16>>(b"B\x04\xff\xff\x01\0Vw\0\x04\0"), Ok(vec![-1, 1]));
    assert_eq!(decode::<Vec<u8>>(b"B\x04\x01\x02\x03\x04VB\x01\x02\0"), Ok(vec![2, 3]));
    assert_eq!(decode::<u64>(b"Z\x18\x01\0\0\0\0\0\0\0\0\0\0\0"), Ok(1));
    assert_eq!(decode::<BTreeMap<String, String>>("R\"\x01a\x03").unwrap()["flags"], "gi");
    let error = decode::<BTreeMap<String, String>>("rRm\"\x01mcrTm\"\x01n.s\"\x01s.").unwrap();
    assert_eq!(
        error,
        [("name", "RangeError"), ("message", "m"), ("stack", "s")].map(|(a, b)| (a.into(), b.into())).into()
    );
}

#[test]
fn repeated_references_are_decoded_repeatedly() {
    // [a = {x: {y: 1}}, a, a.x]
    let value = b"A\x03o\"\x01xo\"\x01yI\x02{\x01{\x01^\x01^\x02$\0\x03";
    type Inner = BTreeMap<String, i32>;
    let (first, second, inner): (BTreeMap<String, Inner>, BTreeMap<String, Inner>, Inner) = decode(value).unwrap();
    assert_eq!(first, second);
    assert_eq!(inner, first["x"]);
    // [two views on one buffer, the buffer, the first view]
    let views = b"A\x04B\x02\x07\x08VB\0\x01\0^\x01VB\x01\x01\0^\x01^\x02$\0\x04";
    assert_eq!(decode::<Vec<Vec<u8>>>(views), Ok(vec![vec![7], vec![8], vec![7, 8], vec![7]]));
    // Objects that a type ignores are numbered, too: [{x: {}}, {}, a reference to the second one].
    let ignored = b"A\x03o\"\x01xo{\0{\x01o\"\x01zT{\x01^\x03$\0\x03";
    let (_, _, third): (IgnoredAny, IgnoredAny, BTreeMap<String, bool>) = decode(ignored).unwrap();
    assert!(third["z"]);
}

#[test]
fn mismatched_and_malformed_values_are_errors() {
    assert!(matches!(decode::<u8>("I\x01"), Err(Error::Mismatch(_))));
    assert!(matches!(decode::<u8>(b"N\0\0\0\0\0\0\xf8\x3f"), Err(Error::Mismatch(_))));
    assert!(matches!(decode::<Date>("I\x02"), Err(Error::Mismatch(_))));
    assert!(matches!(decode::<Shape>("o\"\x06CircleI\x02\"\x01aT{\x02"), Err(Error::Mismatch(_))));
    assert!(matches!(decode::<u64>([&b"Z\x22"[..], &[1; 17]].concat()), Err(Error::Unsupported(_))));
    assert!(matches!(decode::<IgnoredAny>("\\"), Err(Error::Unsupported(_))));
    assert!(matches!(to_vec(&BTreeMap::from([(vec![1], 2)])), Err(Error::Unsupported(_))));
    for bytes in [&b""[..], b"\xff", b"\xff\x0d0", b"\xff\x110", b"T"] {
        assert!(matches!(from_slice::<()>(bytes), Err(Error::Malformed { .. })), "{bytes:?}");
    }
}

#[test]
fn integers_and_bytes_are_decoded() {
    assert_eq!(Value::U64(u64::MAX).decode::<Option<u64>>(), Ok(Some(u64::MAX)));
    assert_eq!(Value::Bytes(vec![1, 2]).decode::<Vec<u8>>(), Ok(vec![1, 2]));
    assert_eq!(Value::encode("a").unwrap(), Value::V8(b"\xff\x0f\"\x01a".to_vec()));
}

/// Runs a test on half of the default stack size.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(1024 * 1024).spawn(test).unwrap().join().unwrap();
}

#[test]
fn deeply_nested_values_are_rejected() {
    on_a_small_stack(|| {
        let deep = Err(Error::TooDeep { max: MAX_DEPTH });
        for level in ["A\x01", "o\"\x01a", ";", "'", "a\x01I\0", "rc", "?\x01"] {
            assert!(decode::<IgnoredAny>(level.repeat(100_000)).is_err(), "{level:?}");
            assert!(decode::<serde_json::Value>(level.repeat(100_000)).is_err(), "{level:?}");
        }
        // An object and an array that contain themselves.
        assert_eq!(decode::<Node>("o\"\x04next^\0{\x01").map(drop), deep);
        assert_eq!(decode::<serde_json::Value>("A\x01^\0$\0\x01").map(drop), deep);
        assert!(decode::<IgnoredAny>("A\x01^\0$\0\x01").is_ok());

        let nested = |levels: usize| (0..levels).fold(serde_json::json!(1), |value, _| serde_json::json!([value]));
        let deepest = to_vec(&nested(MAX_DEPTH - 1)).unwrap();
        assert_eq!(from_slice::<serde_json::Value>(&deepest), Ok(nested(MAX_DEPTH - 1)));
        assert_eq!(to_vec(&nested(MAX_DEPTH)).map(drop), deep);
    });
}

#[test]
fn values_with_excessive_lengths_are_rejected() {
    let max = b"\xff\xff\xff\xff\x0f";
    for tag in ["A", "\"", "c", "S", "Z", "B", "~"] {
        let claim = [tag.as_bytes(), max, b"0000"].concat();
        assert!(matches!(decode::<serde_json::Value>(claim), Err(Error::Malformed { .. })), "{tag}");
    }
    let large = Err(Error::TooLarge { max: MAX_GROWTH });
    // Four billion holes.
    let sparse = [b"a", &max[..], b"@\0", max].concat();
    assert_eq!(decode::<serde_json::Value>(sparse).map(drop), large);
    // An array with ten references to an array with ten references to an array, and so on.
    let levels = (1..=20).rev();
    let bomb = levels
        .fold(b"A\0$\0\0".to_vec(), |inner, id| [b"A\x0a", &inner[..], &[b'^', id].repeat(9), b"$\0\x0a"].concat());
    assert_eq!(decode::<serde_json::Value>(&bomb).map(drop), large);
    assert!(decode::<IgnoredAny>(&bomb).is_ok());
}

/// Decodes a value truncated at each offset, and with each byte changed to every other.
#[test]
fn corrupt_values_do_not_panic() {
    let value = b"A\x05o\"\x01xo\"\x01yI\x02{\x01{\x01^\x01B\x02\x07\x08VB\0\x01\0;c\x02ab'N\x01\x02\x03\x04\x05\x06\x07\x08,\x01:\x02\
        rRm\"\x01mc^\x01.$\0\x05";
    assert!(decode::<serde_json::Value>(value).is_err(), "a Map with a Set as its value, in JSON");
    for at in 0..value.len() {
        let _ = decode::<serde_json::Value>(&value[..at]);
        for byte in 0..=255 {
            let mut corrupt = value.to_vec();
            corrupt[at] = byte;
            let _ = decode::<serde_json::Value>(&corrupt);
            let _ = decode::<IgnoredAny>(&corrupt);
        }
    }
}
