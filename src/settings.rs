//! One macro that turns a documented struct into settings: fields with defaults,
//! whose doc comments are also the help text, the tooltips and the recipe's
//! documentation.

/// One documented setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key, as it stands in a recipe.
    pub name: &'static str,
    /// What it means, in the words of its doc comment.
    pub doc: &'static str,
}

/// Declare a settings struct: every field has a doc comment and a default.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( #[doc = $first:literal] $( #[doc = $more:literal] )* pub $field:ident : $type:ty = $default:expr ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $( #[doc = $first] $( #[doc = $more] )* pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $name {
            /// The settings of this section, with their documentation.
            pub const FIELDS: &'static [$crate::settings::Field] = &[
                $( $crate::settings::Field {
                    name: stringify!($field),
                    doc: concat!($first $(, $more)*),
                }, )+
            ];
        }
    };
}

pub(crate) use settings;
