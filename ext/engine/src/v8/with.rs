//! For `#[serde(with = "...")]`: other forms of fields than those that their types have.

/// Integers that are bigints in scripts, whatever their size: without this, one of up to 53 bits is a number.
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

    /// Writes a bigint.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<T: Copy + Into<i128>, S: Serializer>(integer: &T, serializer: S) -> Result<S::Ok, S::Error> {
        let integer: i128 = (*integer).into();
        integer.serialize(serializer)
    }

    /// Reads a bigint, or a number without a fraction.
    ///
    /// # Errors
    /// An integer that the type does not hold, or another value.
    pub fn deserialize<'de, T: TryFrom<i128>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let integer = i128::deserialize(deserializer)?;
        T::try_from(integer).map_err(|_| D::Error::custom(format!("{integer} does not fit into the type of the field")))
    }
}

/// A [`SystemTime`](std::time::SystemTime) that is a `Date` in scripts, which has whole milliseconds.
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

    /// How far a `Date` is from 1970 at most, in milliseconds.
    const FARTHEST: f64 = 8.64e15;

    /// Writes a `Date`.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_millis() as f64,
            Err(before) => -(before.duration().as_millis() as f64),
        };
        Date(millis).serialize(serializer)
    }

    /// Reads a `Date`.
    ///
    /// # Errors
    /// An invalid `Date`, or another value.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let Date(millis) = Date::deserialize(deserializer)?;
        let distance = (millis.abs() <= FARTHEST).then(|| Duration::from_millis(millis.abs() as u64));
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
    fn fields_have_the_form_that_scripts_have() {
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
    fn what_does_not_fit_is_refused() {
        let bytes = |integer, millis| v8::to_vec(&Raw { integer, time: Date(millis) }).unwrap();
        let negative = v8::from_slice::<Fields<u64>>(&bytes(-1, 0.0)).unwrap_err().to_string();
        assert!(negative.contains("-1 does not fit"), "{negative}");
        for invalid in [f64::NAN, f64::INFINITY, 9e15] {
            assert!(v8::from_slice::<Fields<u64>>(&bytes(1, invalid)).is_err(), "{invalid}");
        }
    }
}
