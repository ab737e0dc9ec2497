//! Statistics of the values of several rounds.

/// Returns the minimum and maximum of some values.
pub fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, 0.0), |(least, greatest), value| (value.min(least), value.max(greatest)))
}

/// Returns the median of some values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

/// Returns the times below which this share of them is. Sorts the times.
pub fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let rank = (times.len() as f64 * share).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_least_time_with_the_share_below() {
        let mut times: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.999, 1.0].map(|share| percentile(&mut times, share)), [500.0, 999.0, 1000.0]);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
