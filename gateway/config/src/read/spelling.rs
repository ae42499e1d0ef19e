//! What to write instead of a key that does not exist.

/// The known key that was probably meant, else all of them.
pub(super) fn advice(key: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (distance(key, known), known))
        .filter(|(distance, near)| *distance <= near.len() / 3 || is_shuffled(key, near))
        .min();
    match near {
        Some((_, known)) => format!("did you mean {known}?"),
        None => format!("the keys here are {}", known.join(", ")),
    }
}

fn is_shuffled(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut chars: Vec<char> = text.chars().collect();
        chars.sort_unstable();
        chars
    };
    sorted(one) == sorted(other)
}

/// How many characters must be added, removed or replaced to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, here) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, there) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(here != *there);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let known = ["bind", "insecure", "max_request"];
        assert_eq!(advice("bnd", &known), "did you mean bind?");
        assert_eq!(advice("bidn", &known), "did you mean bind?");
        assert_eq!(advice("max-request", &known), "did you mean max_request?");
        assert_eq!(
            advice("port", &known),
            "the keys here are bind, insecure, max_request"
        );
    }
}
