//! The file system that SQLite works on: its own, but for two things.
//!
//! It takes a name that a [`Pinned`](crate::sqlite::file::pinned::Pinned) file has by a descriptor as it is. SQLite's would resolve it once
//! more when it opens a file, and use the path of the directory from then on. All files of a database are opened below that
//! name, and SQLite opens none of them where a link is in its place.
//!
//! And it has no super-journals, by which SQLite commits to several files at once. A journal can name any file as its
//! super-journal. SQLite reads that file, and deletes it once it is done with the journal: a file of others, where the journal
//! comes from others.

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;

/// The name under which SQLite knows it.
const NAME: &CStr = c"openkv";

/// The name of the file system, where SQLite's own is the default of the process. A host that put another in its place wants
/// it to be used.
pub(crate) fn name() -> Option<&'static CStr> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    // SAFETY: SQLite initializes itself, and answers null or a file system that stays registered.
    let (default, unix) = unsafe { (ffi::sqlite3_vfs_find(ptr::null()), ffi::sqlite3_vfs_find(c"unix".as_ptr())) };
    if unix.is_null() || default != unix {
        return None;
    }
    // SAFETY: `unix` was just found, and is SQLite's own file system for Unix.
    REGISTERED.get_or_init(|| unsafe { register(unix) }).then_some(NAME)
}

/// The name of the file system for a file. One that is named by a descriptor needs this one, though the host may have put another
/// in its place since.
pub(crate) fn of(file: &Path) -> Option<&'static CStr> {
    if file.to_string_lossy().contains(DESCRIPTORS) { Some(NAME) } else { name() }
}

/// What the names of files begin with that are named by a descriptor.
pub(crate) const DESCRIPTORS: &str = "/proc/self/fd/";

/// The functions beneath.
static BENEATH: OnceLock<(Open, FullPathname)> = OnceLock::new();

type Open =
    unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, *mut ffi::sqlite3_file, c_int, *mut c_int) -> c_int;
type FullPathname = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, c_int, *mut c_char) -> c_int;

/// Registers the file system, beside the others.
///
/// # Safety
/// `unix` is a registered file system.
unsafe fn register(unix: *mut ffi::sqlite3_vfs) -> bool {
    // SAFETY: said above. SQLite writes to none of the fields that are copied.
    let unix = unsafe { *unix };
    let (Some(open), Some(full_pathname)) = (unix.xOpen, unix.xFullPathname) else {
        return false;
    };
    BENEATH.get_or_init(|| (open, full_pathname));
    let ours = ffi::sqlite3_vfs {
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        xOpen: Some(open_file),
        xFullPathname: Some(resolve),
        ..unix
    };
    // SAFETY: the file system lives as long as the process, and SQLite may write to it.
    unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0) == ffi::SQLITE_OK }
}

unsafe extern "C" fn open_file(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    opened: *mut c_int,
) -> c_int {
    match BENEATH.get() {
        // SAFETY: the arguments are those of SQLite, and the functions for files take our file system for theirs: the fields
        // that they use are copies.
        Some((open, _)) if flags & ffi::SQLITE_OPEN_SUPER_JOURNAL == 0 => unsafe {
            open(vfs, name, file, flags, opened)
        },
        _ => {
            // SAFETY: SQLite gives memory for a file, which it closes only if it has methods.
            unsafe { (*file).pMethods = ptr::null() };
            ffi::SQLITE_PERM
        }
    }
}

unsafe extern "C" fn resolve(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, size: c_int, full: *mut c_char) -> c_int {
    // SAFETY: SQLite gives a string.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if !bytes.starts_with(DESCRIPTORS.as_bytes()) {
        return match BENEATH.get() {
            // SAFETY: the arguments are those of SQLite.
            Some((_, full_pathname)) => unsafe { full_pathname(vfs, name, size, full) },
            None => ffi::SQLITE_CANTOPEN,
        };
    }
    if usize::try_from(size).is_ok_and(|size| bytes.len() <= size) {
        // SAFETY: SQLite gives as many bytes as it says, which are not those of the name.
        unsafe { ptr::copy_nonoverlapping(name, full, bytes.len()) };
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_CANTOPEN
    }
}
