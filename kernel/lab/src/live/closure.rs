//! Functions that make rustc print the signature of a closure, whose type has no name.
//!
//! The session compiles `let () = signature_1(&f);` and reads the type of the right-hand side in
//! the error message.

use std::marker::PhantomData;

macro_rules! signatures {
    ($($signature:ident ($($parameter:ident)*);)*) => {$(
        #[doc = "Carries the parameter and return types of a closure in its own type."]
        pub fn $signature<$($parameter,)* R, F: FnOnce($($parameter),*) -> R>(
            _: &F,
        ) -> PhantomData<fn($($parameter),*) -> R> {
            PhantomData
        }
    )*};
}

signatures! {
    signature_0 ();
    signature_1 (A);
    signature_2 (A B);
    signature_3 (A B C);
    signature_4 (A B C D);
    signature_5 (A B C D E);
    signature_6 (A B C D E G);
}
