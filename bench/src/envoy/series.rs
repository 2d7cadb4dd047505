//! The figures of one filter under one kind of load, and what they say.

use super::burst::Burst;
use super::variant::Variant;
use crate::Maker;
use std::time::Duration;

/// What the bursts on one variant showed.
#[derive(Clone, Debug, Default)]
struct Samples {
    /// Microseconds of CPU time for a request, a figure each round.
    cpu: Vec<f64>,
    /// Requests a second, a figure each round.
    rate: Vec<f64>,
    /// Microseconds from a request to the end of its response.
    latency: Vec<f64>,
}

/// The bursts on the variants of one filter, with one protocol and one number of workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    samples: [Samples; Variant::ALL.len()],
}

/// A figure, and its standard error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) uncertainty: f64,
}

/// The part of the rounds that are taken to be undisturbed. Whatever else runs on the machine makes
/// a request more expensive (it takes the caches), never cheaper, so that the lower end of the
/// samples is what the request costs.
pub(super) const UNDISTURBED: f64 = 0.25;

impl Series {
    fn of(&self, variant: Variant) -> &Samples {
        let [none, floor, ours, peer] = &self.samples;
        match variant.name() {
            "floor" => floor,
            "ours" => ours,
            "peer" => peer,
            _ => none,
        }
    }

    fn of_mut(&mut self, variant: Variant) -> &mut Samples {
        let [none, floor, ours, peer] = &mut self.samples;
        match variant.name() {
            "floor" => floor,
            "ours" => ours,
            "peer" => peer,
            _ => none,
        }
    }

    pub(super) fn add_burst(&mut self, variant: Variant, burst: &Burst, cpu: Duration) {
        let samples = self.of_mut(variant);
        samples.cpu.push(cpu.as_secs_f64() * 1e6 / f64::from(burst.requests));
        samples.rate.push(burst.rate);
    }

    pub(super) fn add_latencies(&mut self, variant: Variant, latencies: Vec<u32>) {
        self.of_mut(variant).latency.extend(latencies.into_iter().map(f64::from));
    }

    /// Rounds.
    pub(super) fn rounds(&self) -> usize {
        self.of(Variant::None).cpu.len()
    }

    /// Requests a second.
    pub(super) fn rate(&self, variant: Variant) -> f64 {
        quantile(&self.of(variant).rate, 0.5)
    }

    /// Microseconds of CPU time for a request.
    pub(super) fn cpu(&self, variant: Variant) -> f64 {
        quantile(&self.of(variant).cpu, UNDISTURBED)
    }

    /// Microseconds from a request to the end of its response: so many of them are not longer.
    pub(super) fn latency(&self, variant: Variant, part: f64) -> f64 {
        quantile(&self.of(variant).latency, part)
    }

    /// What a filter adds, compared with the bursts without one.
    pub(super) fn added(&self, variant: Variant) -> Estimate {
        self.compared(variant, Variant::None)
    }

    /// What a filter adds to what the floor adds.
    pub(super) fn more_than_floor(&self, variant: Variant) -> Estimate {
        self.compared(variant, Variant::Filter(Maker::Floor))
    }

    /// The time that a filter adds, as a multiple of the time that the floor adds. `None` if the
    /// floor adds no measurable time.
    pub(super) fn to_floor(&self, variant: Variant) -> Option<Estimate> {
        let unit = self.added(Variant::Filter(Maker::Floor)).value;
        let more = self.more_than_floor(variant);
        (unit > 0.0).then(|| Estimate { value: 1.0 + more.value / unit, uncertainty: more.uncertainty / unit })
    }

    fn compared(&self, variant: Variant, other: Variant) -> Estimate {
        difference(&self.of(variant).cpu, &self.of(other).cpu)
    }
}

/// How much more one takes than the other: the median of the differences within a round. What else
/// the machine does is much the same for both, because their bursts follow each other, and a round
/// in which it is not does not move the median far.
pub(super) fn difference(ones: &[f64], others: &[f64]) -> Estimate {
    let differences: Vec<f64> = ones.iter().zip(others).map(|(one, other)| one - other).collect();
    let value = quantile(&differences, 0.5);
    let deviations: Vec<f64> = differences.iter().map(|difference| (difference - value).abs()).collect();
    #[allow(clippy::cast_precision_loss, reason = "a number of rounds")]
    let rounds = differences.len().max(1) as f64;
    Estimate { value, uncertainty: ERROR_OF_MEDIAN * quantile(&deviations, 0.5) / rounds.sqrt() }
}

/// The standard error of a median, in median deviations over the root of the number of samples:
/// 1.253 for the median instead of the mean, and 1.483 median deviations to a standard deviation.
const ERROR_OF_MEDIAN: f64 = 1.858;

/// The value that a part of the samples does not exceed; 0 for none.
pub(super) fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index between 0 and the last"
    )]
    let (below, above) = ((last as f64 * part).floor() as usize, (last as f64 * part).ceil() as usize);
    match (sorted.get(below), sorted.get(above)) {
        (Some(below), Some(above)) => f64::midpoint(*below, *above),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_between_the_samples() {
        assert_eq!(quantile(&[], 0.5).to_bits(), 0.0_f64.to_bits());
        assert!((quantile(&[3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-9);
        assert!((quantile(&[1.0, 2.0], 0.5) - 1.5).abs() < 1e-9);
        assert!((quantile(&[1.0, 2.0, 3.0], 1.0) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_disturbed_round_does_not_count() {
        let mut series = Series::default();
        let burst = Burst { requests: 1, rate: 1.0 };
        let micros = Duration::from_micros;
        for (without, with) in [(10, 13), (10, 13), (90, 13), (10, 70), (10, 13)] {
            series.add_burst(Variant::None, &burst, micros(without));
            series.add_burst(Variant::Filter(Maker::Ours), &burst, micros(with));
        }
        let added = series.added(Variant::Filter(Maker::Ours));
        assert!((added.value - 3.0).abs() < 1e-6 && added.uncertainty < 1e-6, "{added:?}");
    }

    #[test]
    fn a_filter_that_takes_1_5_times_the_floor_has_the_ratio_1_5() {
        let mut series = Series::default();
        let burst = Burst { requests: 1, rate: 1.0 };
        for disturbance in [0, 50, 7] {
            for (variant, micros) in
                [(Variant::None, 10), (Variant::Filter(Maker::Floor), 14), (Variant::Filter(Maker::Ours), 16)]
            {
                series.add_burst(variant, &burst, Duration::from_micros(micros + disturbance));
            }
        }
        let ratio = series.to_floor(Variant::Filter(Maker::Ours)).unwrap();
        assert!((ratio.value - 1.5).abs() < 1e-6 && ratio.uncertainty < 1e-6, "{ratio:?}");
    }
}
