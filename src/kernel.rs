//! What the kernel is asked for that no safe wrapper has. Owns the only unsafe calls of this crate, and no reason to make them.
//!
//! Source: prctl(2), PR_SET_MDWE (Linux 6.3); signal(2); geteuid(2).

use std::io;

/// `--deny-exec-memory`: denies the process executable memory beyond what is mapped now. It cannot be taken back, and children inherit it.
///
/// # Errors
/// Where the kernel is older than 6.3, or is not Linux. What was asked for and cannot be had is never passed over.
pub(crate) fn deny_exec_memory() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        const SET_MDWE: libc::c_int = 65;
        const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
        const NONE: libc::c_ulong = 0;
        #[expect(unsafe_code, reason = "no safe wrapper exists")]
        // SAFETY: this option takes numbers only, no pointer, and changes nothing that Rust relies on.
        let answer = unsafe { libc::prctl(SET_MDWE, REFUSE_EXEC_GAIN, NONE, NONE, NONE) };
        if answer == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        Err(io::Error::new(
            error.kind(),
            format!("the kernel cannot deny executable memory (Linux 6.3 can): {error}"),
        ))
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "only Linux can deny executable memory",
    ))
}

/// Has SIGHUP end nothing until somebody handles it.
pub(crate) fn ignore_hangup() {
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: no handler of ours is installed, so nothing runs in a signal's context.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}

/// The user that this process acts as: whose the files are that it makes.
#[must_use]
pub(crate) fn user() -> u32 {
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: it takes nothing, cannot fail and changes nothing.
    unsafe {
        libc::geteuid()
    }
}
