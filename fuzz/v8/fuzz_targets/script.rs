#![no_main]

use openkv_torture::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let directory = fuzz::directory();
    let path = directory.path().join("db");
    let script = fuzz::script(data);
    let torture = format!("async () => (await torture({{ ...host, path: {path:?} }}, {script})).join('\\n')");
    assert_eq!(openkv_fuzz_v8::run(&torture), "", "{script}");
    openkv_fuzz_v8::close_all();
});
