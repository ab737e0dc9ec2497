//! A VFS (SQLite's virtual file system) that differs from the default one in two points.
//!
//! It does not resolve a name that contains a descriptor, that of a [`Pinned`](crate::sqlite::file::pinned::Pinned) file. The
//! default VFS would resolve it once more when it opens a file, and use the path of the directory from then on. All files of a
//! database are opened by such names, and SQLite opens none of them if a link is in its place.
//!
//! And it does not open super-journals, with which SQLite commits to several files atomically. A journal can name any file as its
//! super-journal. SQLite reads that file, and deletes it after rolling back the journal. A journal from an untrusted source could
//! so delete any file.

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;

/// The name under which the VFS is registered.
const NAME: &CStr = c"openkv";

/// Returns the name of the VFS if SQLite's own is the default of the process. If the host has registered another default, that is
/// used instead.
pub(crate) fn name() -> Option<&'static CStr> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    // SAFETY: SQLite initializes itself, and returns null or a VFS that stays registered.
    let (default, unix) = unsafe { (ffi::sqlite3_vfs_find(ptr::null()), ffi::sqlite3_vfs_find(c"unix".as_ptr())) };
    if unix.is_null() || default != unix {
        return None;
    }
    // SAFETY: `unix` is not null, and is SQLite's own VFS for Unix.
    REGISTERED.get_or_init(|| unsafe { register(unix) }).then_some(NAME)
}

/// Returns the name of the VFS for a file. A file that is named by a descriptor needs this one, even if the host has registered
/// another default since.
pub(crate) fn of(file: &Path) -> Option<&'static CStr> {
    if file.to_string_lossy().contains(DESCRIPTORS) { Some(NAME) } else { name() }
}

/// The prefix of names that contain a descriptor.
pub(crate) const DESCRIPTORS: &str = "/proc/self/fd/";

/// The functions of SQLite's own VFS.
static BASE: OnceLock<(Open, FullPathname)> = OnceLock::new();

type Open =
    unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, *mut ffi::sqlite3_file, c_int, *mut c_int) -> c_int;
type FullPathname = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, c_int, *mut c_char) -> c_int;

/// Registers the VFS, without making it the default.
///
/// # Safety
/// `unix` is a registered VFS.
unsafe fn register(unix: *mut ffi::sqlite3_vfs) -> bool {
    // SAFETY: `unix` is a registered VFS. SQLite does not write to the fields that are copied.
    let unix = unsafe { *unix };
    let (Some(open), Some(full_pathname)) = (unix.xOpen, unix.xFullPathname) else {
        return false;
    };
    BASE.get_or_init(|| (open, full_pathname));
    let ours = ffi::sqlite3_vfs {
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        xOpen: Some(open_file),
        xFullPathname: Some(resolve),
        ..unix
    };
    // SAFETY: the VFS is leaked, so that it stays valid and exclusively SQLite's.
    unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0) == ffi::SQLITE_OK }
}

unsafe extern "C" fn open_file(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    opened: *mut c_int,
) -> c_int {
    match BASE.get() {
        // SAFETY: the arguments come from SQLite. The function may be called with our VFS, because the fields that it uses are
        // copies of those of its own.
        Some((open, _)) if flags & ffi::SQLITE_OPEN_SUPER_JOURNAL == 0 => unsafe {
            open(vfs, name, file, flags, opened)
        },
        _ => {
            // SAFETY: `file` points to memory for a file, which SQLite closes only if its methods are not null.
            unsafe { (*file).pMethods = ptr::null() };
            ffi::SQLITE_PERM
        }
    }
}

unsafe extern "C" fn resolve(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, size: c_int, full: *mut c_char) -> c_int {
    // SAFETY: SQLite passes a null-terminated string.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if !bytes.starts_with(DESCRIPTORS.as_bytes()) {
        return match BASE.get() {
            // SAFETY: the arguments come from SQLite.
            Some((_, full_pathname)) => unsafe { full_pathname(vfs, name, size, full) },
            None => ffi::SQLITE_CANTOPEN,
        };
    }
    if usize::try_from(size).is_ok_and(|size| bytes.len() <= size) {
        // SAFETY: `full` has `size` bytes, and does not overlap with `name`.
        unsafe { ptr::copy_nonoverlapping(name, full, bytes.len()) };
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_CANTOPEN
    }
}
