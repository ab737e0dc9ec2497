//! The disk as a file system of SQLite: <https://sqlite.org/vfs.html>.
//!
//! A file of a mounted disk is a header that records the calls, followed by the file of SQLite's default file system. Files in other
//! directories have no header.

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
    // SAFETY: this is a copy of the default file system, which SQLite never frees, with some functions replaced. It is registered
    // once, and never freed.
    INSTALLED.call_once(|| unsafe {
        let real = sqlite3_vfs_find(ptr::null());
        assert!(!real.is_null(), "SQLite has no default file system");
        let ours = sqlite3_vfs {
            szOsFile: size_of::<Header>() as c_int + (*real).szOsFile,
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

/// The default file system. The functions that are not replaced work with either, as they do not use the replaced ones.
static REAL: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

fn real() -> *mut sqlite3_vfs {
    REAL.load(Ordering::Acquire)
}

/// The header before the real file, in the memory that SQLite allocates for a file.
#[repr(C)]
struct Header {
    base: sqlite3_file,
    file: MaybeUninit<File>,
}

struct File {
    disk: Arc<Disk>,
    name: OsString,
    /// Whether the next sync also syncs the directory. SQLite's file system for Unix syncs it for journals and WALs that it created.
    created: AtomicBool,
}

/// Returns the file of a header, and the real file after it.
///
/// # Safety
/// `file` must be open, and have been opened by [`open`] on a mounted disk.
unsafe fn parts<'a>(file: *mut sqlite3_file) -> (&'a File, *mut sqlite3_file) {
    let header = file.cast::<Header>();
    // SAFETY: `open` has written both.
    unsafe { ((*header).file.assume_init_ref(), header.add(1).cast()) }
}

/// Returns the functions of the real file.
///
/// # Safety
/// `real` must be open.
unsafe fn methods<'a>(real: *mut sqlite3_file) -> &'a sqlite3_io_methods {
    // SAFETY: an open file has them.
    unsafe { &*(*real).pMethods }
}

/// Returns the disk that a path is on.
///
/// # Safety
/// `name` must be a valid C string, or null.
unsafe fn disk_of(name: *const c_char) -> Option<(Arc<Disk>, OsString)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller guarantees it.
    let path = unsafe { CStr::from_ptr(name) };
    Disk::of(Path::new(OsStr::from_bytes(path.to_bytes())))
}

/// Calls a function of the real file, unless the disk injects a fault.
macro_rules! call {
    ($call:expr, $file:expr, $method:ident($($argument:expr),*)) => {{
        // SAFETY: SQLite calls this for an open file.
        let (file, real) = unsafe { parts($file) };
        match file.disk.fails($call) {
            Some(error) => error,
            // SAFETY: the arguments are those of SQLite, for the real file.
            None => unsafe { methods(real).$method.expect("every file has it")(real, $($argument),*) },
        }
    }};
}

/// Forwards a call to the real file.
macro_rules! forward {
    ($name:ident, $method:ident, ($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $type),*) $(-> $result)? {
            // SAFETY: SQLite calls this for an open file, with arguments that are valid for the real file.
            unsafe {
                let (_, real) = parts(file);
                methods(real).$method.expect("every file has it")(real, $($argument),*)
            }
        }
    };
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Version 3 adds memory mapping, which would bypass the disk.
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
    // SAFETY: SQLite allocates memory for the header and the real file, and passes arguments that are valid for the real file system.
    // Without a disk, the real file is at the start of the memory.
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
        let header = file.cast::<Header>();
        let real_file: *mut sqlite3_file = header.add(1).cast();
        let result = open(real_vfs, name, real_file, flags, opened);
        if result == SQLITE_OK {
            if created {
                disk.changed(&file_name, Change::Create);
            }
            let created = created && flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0;
            (*header).file.write(File { disk, name: file_name, created: created.into() });
            (*header).base.pMethods = &METHODS;
        }
        result
    }
}

unsafe extern "C" fn delete(_vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let real = real();
    // SAFETY: the arguments are those of SQLite.
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

unsafe extern "C" fn access(_vfs: *mut sqlite3_vfs, name: *const c_char, flags: c_int, result: *mut c_int) -> c_int {
    let real = real();
    // SAFETY: the arguments are those of SQLite.
    unsafe {
        let disk = disk_of(name).filter(|_| flags == SQLITE_ACCESS_EXISTS);
        match disk.and_then(|(disk, _)| disk.fails(Call::Access)) {
            Some(error) => error,
            None => (*real).xAccess.expect("every file system has it")(real, name, flags, result),
        }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file once.
    unsafe {
        let (_, real) = parts(file);
        let result = methods(real).xClose.expect("every file has it")(real);
        (*file.cast::<Header>()).file.assume_init_drop();
        result
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, length: c_int, at: i64) -> c_int {
    call!(Call::Read, file, xRead(to, length, at))
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, length: c_int, at: i64) -> c_int {
    let result = call!(Call::Write, file, xWrite(from, length, at));
    if result == SQLITE_OK {
        // SAFETY: SQLite passes a buffer of this length, for an open file.
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

forward!(unlock, xUnlock, (kind: c_int) -> c_int);
forward!(check_reserved_lock, xCheckReservedLock, (result: *mut c_int) -> c_int);
forward!(control, xFileControl, (operation: c_int, argument: *mut c_void) -> c_int);
forward!(sector_size, xSectorSize, () -> c_int);
forward!(characteristics, xDeviceCharacteristics, () -> c_int);
forward!(lock_map, xShmLock, (offset: c_int, count: c_int, flags: c_int) -> c_int);
forward!(barrier, xShmBarrier, ());
forward!(unmap, xShmUnmap, (delete: c_int) -> c_int);
