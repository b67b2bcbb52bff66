//! A history that fails, with fewer steps.

use super::tale::{Step, Tale};

/// Plays at most.
const PATIENCE: usize = 600;

/// Leaves out steps, in ever smaller pieces, as long as `fails` stays true.
pub fn shrink(tale: &Tale, fails: impl Fn(&Tale) -> bool) -> Tale {
    let mut best = tale.clone();
    let mut plays = 0;
    let mut piece = best.steps.len() / 2;
    while piece > 0 {
        let before = best.steps.len();
        let mut at = 0;
        while at < best.steps.len() && plays < PATIENCE {
            let mut fewer: Vec<Step> = best.steps[..at].to_vec();
            fewer.extend(best.steps.iter().skip(at + piece));
            let candidate = Tale { steps: fewer, ..best.clone() };
            plays += 1;
            match fails(&candidate) {
                true => best = candidate,
                false => at += piece,
            }
        }
        if best.steps.len() == before || plays >= PATIENCE {
            piece /= 2;
        }
    }
    best
}

/// A tale as it can be read: the setting, and one step a line.
pub fn in_lines(tale: &Tale) -> String {
    let steps = tale.steps.iter().map(|step| format!("  {step:?}\n"));
    format!("{:?}\n{}", tale.setting, steps.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_left() {
        let tale = Tale::by(7);
        let count = |tale: &Tale, what: fn(&Step) -> bool| tale.steps.iter().filter(|step| what(step)).count();
        let renewals = |tale: &Tale| count(tale, |step| matches!(step, Step::Renew(_)));
        let runs = |tale: &Tale| count(tale, |step| matches!(step, Step::Run));
        let small = shrink(&tale, |tale| renewals(tale) >= 2 && runs(tale) >= 1);
        assert_eq!((small.steps.len(), renewals(&small), runs(&small)), (3, 2, 1), "{}", in_lines(&small));
    }
}
