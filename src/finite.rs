//! Numbers that may be no finite ones, in JSON, which knows none: written as the texts `"NaN"`,
//! `"Infinity"` and `"-Infinity"`, as in the JSON form of protocol buffers, and read back. `null`,
//! which other writers put in their place, is read as NaN.
//!
//! For use as `#[serde(with = "crate::finite")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number as it stands in JSON.
#[derive(Clone, Copy)]
pub(crate) struct Json(pub(crate) f64);

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str("NaN"),
            number if number > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Found {
    Number(f64),
    Text(String),
    Null(()),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
        match Found::deserialize(deserializer) {
            Ok(Found::Number(number)) => Ok(Self(number)),
            Ok(Found::Null(())) => Ok(Self(f64::NAN)),
            Ok(Found::Text(text)) => match text.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(serde::de::Error::custom(format!("“{text}”; {expected}"))),
            },
            Err(_) => Err(serde::de::Error::custom(expected)),
        }
    }
}

/// A field of one number, or of several, or of one that may be absent.
pub(crate) trait Numbers: Sized {
    /// As it stands in JSON.
    type InJson: Serialize + for<'de> Deserialize<'de>;
    fn into_json(self) -> Self::InJson;
    fn from_json(found: Self::InJson) -> Self;
}

impl Numbers for f64 {
    type InJson = Json;

    fn into_json(self) -> Json {
        Json(self)
    }

    fn from_json(found: Json) -> Self {
        found.0
    }
}

impl Numbers for Option<f64> {
    type InJson = Option<Json>;

    fn into_json(self) -> Option<Json> {
        self.map(Json)
    }

    fn from_json(found: Option<Json>) -> Self {
        found.map(|number| number.0)
    }
}

impl Numbers for [f64; 2] {
    type InJson = [Json; 2];

    fn into_json(self) -> [Json; 2] {
        self.map(Json)
    }

    fn from_json(found: [Json; 2]) -> Self {
        found.map(|number| number.0)
    }
}

impl Numbers for Option<[f64; 2]> {
    type InJson = Option<[Json; 2]>;

    fn into_json(self) -> Option<[Json; 2]> {
        self.map(Numbers::into_json)
    }

    fn from_json(found: Option<[Json; 2]>) -> Self {
        found.map(Numbers::from_json)
    }
}

impl Numbers for (String, f64) {
    type InJson = (String, Json);

    fn into_json(self) -> (String, Json) {
        (self.0, Json(self.1))
    }

    fn from_json(found: (String, Json)) -> Self {
        (found.0, found.1.0)
    }
}

pub(crate) fn serialize<T: Numbers + Clone, S: Serializer>(
    numbers: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    numbers.clone().into_json().serialize(serializer)
}

pub(crate) fn deserialize<'de, T: Numbers, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::InJson::deserialize(deserializer).map(T::from_json)
}
