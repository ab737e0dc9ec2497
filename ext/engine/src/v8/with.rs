//! Modules for `#[serde(with = "...")]`, which encode fields in another form than their types.

/// Encodes integers as bigints, regardless of their size. By default, an integer of up to 53 bits is a number.
///
/// ```
/// use openkv_engine::{Value, v8};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Account {
///     // In a script: 42n
///     #[serde(with = "v8::bigint")]
///     cents: u64,
/// }
///
/// let value = Value::encode(&Account { cents: 42 })?;
/// assert_eq!(value.decode::<Account>()?.cents, 42);
/// # Ok::<(), openkv_engine::Error>(())
/// ```
pub mod bigint {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Serializes a bigint.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Copy + Into<i128>, S: Serializer>(integer: &T, serializer: S) -> Result<S::Ok, S::Error> {
        let integer: i128 = (*integer).into();
        integer.serialize(serializer)
    }

    /// Deserializes a bigint, or a number without a fraction.
    ///
    /// # Errors
    /// The integer is out of range for the type, or the value is not an integer.
    pub fn deserialize<'de, T: TryFrom<i128>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let integer = i128::deserialize(deserializer)?;
        T::try_from(integer)
            .map_err(|_| D::Error::custom(format!("{integer} is out of range for the type of the field")))
    }
}

/// Encodes a [`SystemTime`](std::time::SystemTime) as a `Date`, in whole milliseconds.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use openkv_engine::{Value, v8};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Visit {
///     // In a script: new Date(1000)
///     #[serde(with = "v8::date")]
///     at: SystemTime,
/// }
///
/// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
/// let value = Value::encode(&Visit { at })?;
/// assert_eq!(value.decode::<Visit>()?.at, at);
/// # Ok::<(), openkv_engine::Error>(())
/// ```
pub mod date {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::v8::Date;

    /// The maximum distance of a `Date` from 1970, in milliseconds.
    const MAX_MILLIS: f64 = 8.64e15;

    /// Serializes a `Date`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_millis() as f64,
            Err(before) => -(before.duration().as_millis() as f64),
        };
        Date(millis).serialize(serializer)
    }

    /// Deserializes a `Date`.
    ///
    /// # Errors
    /// The `Date` is invalid, or the value is not a `Date`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let Date(millis) = Date::deserialize(deserializer)?;
        let distance = (millis.abs() <= MAX_MILLIS).then(|| Duration::from_millis(millis.abs() as u64));
        let time = distance.and_then(|distance| {
            if millis < 0.0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
        });
        time.ok_or_else(|| D::Error::custom("the date is invalid"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Serialize};

    use crate::v8::{self, Date};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Fields<T: Copy + Into<i128> + TryFrom<i128>> {
        #[serde(with = "v8::bigint")]
        integer: T,
        #[serde(with = "v8::date")]
        time: SystemTime,
    }

    #[derive(Serialize)]
    struct Raw {
        integer: i128,
        time: Date,
    }

    #[test]
    fn fields_are_encoded_as_bigint_and_date() {
        for (integer, millis) in [(0, 0.0), (42, 1000.0), (-42, -1.0)] {
            let time = if millis < 0.0 {
                UNIX_EPOCH - Duration::from_millis(1)
            } else {
                UNIX_EPOCH + Duration::from_millis(millis as u64)
            };
            let bytes = v8::to_vec(&Fields { integer, time }).unwrap();
            assert_eq!(bytes, v8::to_vec(&Raw { integer: integer.into(), time: Date(millis) }).unwrap());
            assert_eq!(v8::from_slice::<Fields<i64>>(&bytes).unwrap(), Fields { integer, time });
        }
    }

    #[test]
    fn out_of_range_values_are_rejected() {
        let bytes = |integer, millis| v8::to_vec(&Raw { integer, time: Date(millis) }).unwrap();
        let negative = v8::from_slice::<Fields<u64>>(&bytes(-1, 0.0)).unwrap_err().to_string();
        assert!(negative.contains("-1 is out of range"), "{negative}");
        for invalid in [f64::NAN, f64::INFINITY, 9e15] {
            assert!(v8::from_slice::<Fields<u64>>(&bytes(1, invalid)).is_err(), "{invalid}");
        }
    }
}
