//! The few calls to OpenSSL and the system that no crate offers. Tests apart, only this file has `unsafe` in it.
#![expect(
    unsafe_code,
    reason = "the timers of DTLS, the hint of PSK and IPV6_DONTFRAG have no safe binding"
)]

use std::{
    ffi::{CStr, c_char, c_int},
    io,
    os::fd::{AsFd, AsRawFd as _},
    ptr,
    time::Duration,
};

use foreign_types_shared::ForeignTypeRef;
use openssl::ssl::{SslContextBuilder, SslRef, SslStream};

/// From OpenSSL's `ssl.h`.
const DTLS_CTRL_GET_TIMEOUT: c_int = 73;
const DTLS_CTRL_HANDLE_TIMEOUT: c_int = 74;

unsafe extern "C" {
    fn SSL_CTX_use_psk_identity_hint(
        context: *mut openssl_sys::SSL_CTX,
        hint: *const c_char,
    ) -> c_int;
}

/// How long until a flight of the handshake is to be repeated (`DTLSv1_get_timeout`).
pub(crate) fn timeout(ssl: &SslRef) -> Option<Duration> {
    let mut left = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    // SAFETY: the pointer of an `SslRef` is valid while it is borrowed. For this command OpenSSL writes one
    // `struct timeval` where the last argument points, which outlives the call.
    let running = unsafe {
        openssl_sys::SSL_ctrl(
            ssl.as_ptr(),
            DTLS_CTRL_GET_TIMEOUT,
            0,
            ptr::from_mut(&mut left).cast(),
        )
    };
    let seconds = u64::try_from(left.tv_sec).unwrap_or(0);
    let micros = u32::try_from(left.tv_usec).unwrap_or(0);
    (running == 1).then(|| Duration::new(seconds, micros.saturating_mul(1000)))
}

/// Repeats a flight of the handshake if it is time (`DTLSv1_handle_timeout`); `false` if it was repeated too often.
pub(crate) fn handle_timeout<S>(stream: &mut SslStream<S>) -> bool {
    // SAFETY: the pointer is valid while its stream is borrowed, here mutably: nothing else uses it. The command takes no
    // argument. What it writes goes through the same callbacks as in any other call, and these catch panics.
    let handled = unsafe {
        openssl_sys::SSL_ctrl(
            stream.ssl().as_ptr(),
            DTLS_CTRL_HANDLE_TIMEOUT,
            0,
            ptr::null_mut(),
        )
    };
    handled >= 0
}

/// What devices are told so that they can choose an identity; `false` if it is longer than 256 bytes.
pub(crate) fn set_identity_hint(context: &mut SslContextBuilder, hint: &CStr) -> bool {
    // SAFETY: the pointer is that of a live context, borrowed mutably. OpenSSL copies the string, which ends with a
    // zero byte.
    unsafe { SSL_CTX_use_psk_identity_hint(context.as_ptr(), hint.as_ptr()) == 1 }
}

/// Lets an IPv6 socket send datagrams in fragments.
pub(crate) fn may_fragment(socket: &impl AsFd) -> io::Result<()> {
    let off: c_int = 0;
    let length = libc::socklen_t::try_from(size_of_val(&off)).expect("a few bytes");
    // SAFETY: the descriptor is open while its socket is borrowed, and for this option the system reads one `int`
    // where the pointer shows, which outlives the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_DONTFRAG,
            ptr::from_ref(&off).cast(),
            length,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
