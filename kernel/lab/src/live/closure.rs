//! The signature of a closure, whose type has no name, as the compiler is made to tell it: the
//! probe compiles `let () = signature_1(&f);` and reads, in the error, the type of the right
//! side.

use std::marker::PhantomData;

macro_rules! signatures {
    ($($signature:ident ($($parameter:ident)*);)*) => {$(
        #[doc = "What a closure of so many parameters takes and gives."]
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
