//! The disk as a file system of SQLite: <https://sqlite.org/vfs.html>.
//!
//! A file of a mounted disk is SQLite's own, behind a head that counts and notes the calls. The file of any other directory is
//! SQLite's own as it is.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Once};

use rusqlite::ffi::{
    SQLITE_ACCESS_EXISTS, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL, sqlite3_file,
    sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use super::{Call, Change, Disk};

/// Makes the file system SQLite's default, once.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    // SAFETY: a copy of the default file system, which SQLite keeps for good, with some functions replaced. It is registered
    // once, and never freed.
    INSTALLED.call_once(|| unsafe {
        let real = sqlite3_vfs_find(ptr::null());
        assert!(!real.is_null(), "SQLite has a file system");
        let ours = sqlite3_vfs {
            szOsFile: size_of::<Head>() as c_int + (*real).szOsFile,
            pNext: ptr::null_mut(),
            zName: c"disk".as_ptr(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            ..*real
        };
        REAL.store(real, Ordering::Release);
        let registered = sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
        assert_eq!(registered, SQLITE_OK);
    });
}

/// The file system beneath. All functions but those for files take it in our place: they use nothing of ours.
static REAL: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

fn real() -> *mut sqlite3_vfs {
    REAL.load(Ordering::Acquire)
}

/// What stands before the real file, in the memory that SQLite gives for a file.
#[repr(C)]
struct Head {
    base: sqlite3_file,
    file: MaybeUninit<File>,
}

struct File {
    disk: Arc<Disk>,
    name: OsString,
    /// Whether the next sync is to sync the directory too. SQLite's file system for Unix does so with journals and logs that it
    /// created.
    created: AtomicBool,
}

/// The file of a head, and the real one behind it.
///
/// # Safety
/// `file` was opened by [`open`] on a mounted disk, and is not closed yet.
unsafe fn parts<'a>(file: *mut sqlite3_file) -> (&'a File, *mut sqlite3_file) {
    let head = file.cast::<Head>();
    // SAFETY: `open` has written both.
    unsafe { ((*head).file.assume_init_ref(), head.add(1).cast()) }
}

/// The functions of the real file.
///
/// # Safety
/// `real` is open.
unsafe fn methods<'a>(real: *mut sqlite3_file) -> &'a sqlite3_io_methods {
    // SAFETY: an open file has them.
    unsafe { &*(*real).pMethods }
}

/// The disk that a path is on.
///
/// # Safety
/// `name` is a string of SQLite's, or null.
unsafe fn disk_of(name: *const c_char) -> Option<(Arc<Disk>, OsString)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: said above.
    let path = unsafe { CStr::from_ptr(name) };
    Disk::of(Path::new(OsStr::from_bytes(path.to_bytes())))
}

/// Calls a function of the real file, if the disk does not fail.
macro_rules! call {
    ($call:expr, $file:expr, $method:ident($($argument:expr),*)) => {{
        // SAFETY: SQLite calls this for an open file.
        let (file, real) = unsafe { parts($file) };
        match file.disk.fails($call) {
            Some(error) => error,
            // SAFETY: the arguments are those of SQLite, for the file beneath.
            None => unsafe { methods(real).$method.expect("every file has it")(real, $($argument),*) },
        }
    }};
}

/// Hands a call on to the real file.
macro_rules! pass {
    ($name:ident, $method:ident, ($($argument:ident: $type:ty),*) $(-> $answer:ty)?) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $type),*) $(-> $answer)? {
            // SAFETY: SQLite calls this for an open file, with arguments that hold for the file beneath.
            unsafe {
                let (_, real) = parts(file);
                methods(real).$method.expect("every file has it")(real, $($argument),*)
            }
        }
    };
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Without the functions of the third version, which map files to memory: SQLite reads and writes by calls.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(map),
    xShmLock: Some(lock_map),
    xShmBarrier: Some(barrier),
    xShmUnmap: Some(unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn open(
    _vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    opened: *mut c_int,
) -> c_int {
    let real_vfs = real();
    // SAFETY: SQLite gives memory for our head and the real file, and arguments that hold for the real file system. Where there
    // is no disk, the real file stands at its start.
    unsafe {
        let open = (*real_vfs).xOpen.expect("every file system has it");
        let Some((disk, file_name)) = disk_of(name) else {
            return open(real_vfs, name, file, flags, opened);
        };
        // SQLite closes a file that failed to open only if it has methods.
        (*file).pMethods = ptr::null();
        if let Some(error) = disk.fails(Call::Open) {
            return error;
        }
        let path = Path::new(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()));
        let created = flags & SQLITE_OPEN_CREATE != 0 && !path.exists();
        let head = file.cast::<Head>();
        let real_file: *mut sqlite3_file = head.add(1).cast();
        let result = open(real_vfs, name, real_file, flags, opened);
        if result == SQLITE_OK {
            if created {
                disk.changed(&file_name, Change::Create);
            }
            let created = created && flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0;
            (*head).file.write(File { disk, name: file_name, created: created.into() });
            (*head).base.pMethods = &METHODS;
        }
        result
    }
}

unsafe extern "C" fn delete(_vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let real = real();
    // SAFETY: the arguments are SQLite's.
    unsafe {
        let disk = disk_of(name);
        if let Some(error) = disk.as_ref().and_then(|(disk, _)| disk.fails(Call::Delete)) {
            return error;
        }
        let result = (*real).xDelete.expect("every file system has it")(real, name, sync);
        if let (SQLITE_OK, Some((disk, name))) = (result, disk) {
            disk.changed(&name, Change::Delete { directory: sync != 0 });
        }
        result
    }
}

unsafe extern "C" fn access(_vfs: *mut sqlite3_vfs, name: *const c_char, flags: c_int, answer: *mut c_int) -> c_int {
    let real = real();
    // SAFETY: the arguments are SQLite's.
    unsafe {
        let disk = disk_of(name).filter(|_| flags == SQLITE_ACCESS_EXISTS);
        match disk.and_then(|(disk, _)| disk.fails(Call::Access)) {
            Some(error) => error,
            None => (*real).xAccess.expect("every file system has it")(real, name, flags, answer),
        }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file once.
    unsafe {
        let (_, real) = parts(file);
        let result = methods(real).xClose.expect("every file has it")(real);
        (*file.cast::<Head>()).file.assume_init_drop();
        result
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, length: c_int, at: i64) -> c_int {
    call!(Call::Read, file, xRead(to, length, at))
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, length: c_int, at: i64) -> c_int {
    let result = call!(Call::Write, file, xWrite(from, length, at));
    if result == SQLITE_OK {
        // SAFETY: SQLite gives as many bytes as it says, for an open file.
        let (bytes, (file, _)) =
            unsafe { (std::slice::from_raw_parts(from.cast::<u8>(), length as usize), parts(file)) };
        file.disk.changed(&file.name, Change::Write { at: at as u64, bytes: bytes.to_vec() });
    }
    result
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    let result = call!(Call::Truncate, file, xTruncate(length));
    if result == SQLITE_OK {
        // SAFETY: the file is open.
        let (file, _) = unsafe { parts(file) };
        file.disk.changed(&file.name, Change::Truncate(length as u64));
    }
    result
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let result = call!(Call::Sync, file, xSync(flags));
    if result == SQLITE_OK {
        // SAFETY: the file is open.
        let (file, _) = unsafe { parts(file) };
        file.disk.changed(&file.name, Change::Sync { directory: file.created.swap(false, Ordering::Relaxed) });
    }
    result
}

unsafe extern "C" fn size(file: *mut sqlite3_file, length: *mut i64) -> c_int {
    call!(Call::Size, file, xFileSize(length))
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, kind: c_int) -> c_int {
    call!(Call::Lock, file, xLock(kind))
}

unsafe extern "C" fn map(
    file: *mut sqlite3_file,
    region: c_int,
    length: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    call!(Call::Map, file, xShmMap(region, length, extend, to))
}

pass!(unlock, xUnlock, (kind: c_int) -> c_int);
pass!(check_reserved_lock, xCheckReservedLock, (answer: *mut c_int) -> c_int);
pass!(control, xFileControl, (operation: c_int, argument: *mut c_void) -> c_int);
pass!(sector_size, xSectorSize, () -> c_int);
pass!(characteristics, xDeviceCharacteristics, () -> c_int);
pass!(lock_map, xShmLock, (offset: c_int, count: c_int, flags: c_int) -> c_int);
pass!(barrier, xShmBarrier, ());
pass!(unmap, xShmUnmap, (delete: c_int) -> c_int);
