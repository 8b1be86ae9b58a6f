//! The inner layers, under the names that they have inside: for this project's own tests, bench and fuzz targets, and
//! there only with the feature `internals`. No version keeps what is here.

macro_rules! layers {
    ($($layer:ident)*) => {$(
        pub mod $layer {
            pub use crate::$layer::*;
        }
    )*};
}

layers! { admin auth budget cli clients cluster config credentials forward limits metrics node principal redis runtime shard wire }
