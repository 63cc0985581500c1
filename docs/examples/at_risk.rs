// SPDX-License-Identifier: LGPL-2.1-or-later

//! Prints each object that an exit would clear, or has cleared, and why. The exit status is 1 if there
//! is one, so that it can be a check of a monitoring system.
//!
//! bindgen /usr/include/bpfrefs/bpfrefs.h --no-prepend-enum-name --allowlist-function 'bpfrefs_.*' \
//!     --allowlist-type 'bpfrefs_.*' -o /tmp/bpfrefs.rs
//! BINDINGS=/tmp/bpfrefs.rs rustc at_risk.rs -l bpfrefs

#[allow(dead_code, non_camel_case_types, non_upper_case_globals)]
mod bpfrefs {
    include!(env!("BINDINGS"));
}
use bpfrefs::*;
use std::{ffi::CStr, io, mem, os::raw::c_char, process, ptr};

/// A string of the library, which need not be UTF-8; NULL is what could not be read.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return "?".to_string();
    }
    CStr::from_ptr(string).to_string_lossy().into_owned()
}

fn check(err: i32) {
    if err < 0 {
        eprintln!("at_risk: {}", io::Error::from_raw_os_error(-err));
        process::exit(2);
    }
}

fn main() {
    let (mut ctx, mut snapshot, mut selection) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let mut filter: bpfrefs_filter = unsafe { mem::zeroed() };
    let mut count = 0;

    filter.size = mem::size_of::<bpfrefs_filter>() as _;
    filter.states = 1 << BPFREFS_STATE_AT_RISK | 1 << BPFREFS_STATE_CLEARED;
    unsafe {
        check(bpfrefs_ctx_open(ptr::null(), &mut ctx));
        check(bpfrefs_snapshot_take(ctx, &mut snapshot));
        check(bpfrefs_select_objects(snapshot, &filter, &mut selection));
        while let Some(object) = bpfrefs_next_object(selection).as_ref() {
            let (kind, state) = (bpfrefs_kind_name(object.key.kind), bpfrefs_state_name(object.state));
            println!("{}/{} {}: {}: {}", text(kind), object.key.id, text(object.name), text(state),
                     text(object.because));
            count += 1;
        }
        bpfrefs_selection_free(selection);
        bpfrefs_snapshot_unref(snapshot);
        bpfrefs_ctx_close(ctx);
    }
    process::exit((count > 0) as i32);
}
