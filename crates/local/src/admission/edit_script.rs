//! How one list becomes another, as Go's `go-cmp` finds it: not the fewest changes, but what a greedy
//! search comes to that goes from both ends by turns. Knative's refusals name items by it.

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It is in both lists.
    Same,
    /// It is in both, changed.
    Changed,
    /// It is in the old list only.
    Gone,
    /// It is in the new list only.
    New,
}

/// How much of two items is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conformance {
    /// How many values are.
    pub same: usize,
    /// How many are not.
    pub different: usize,
}

impl Conformance {
    fn is_equal(self) -> bool {
        self.different == 0
    }

    /// Whether one may be the other, changed: no more may differ than is the same, and one.
    fn is_similar(self) -> bool {
        self.same + 1 >= self.different
    }
}

impl std::ops::Add for Conformance {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            same: self.same + other.same,
            different: self.different + other.different,
        }
    }
}

impl std::iter::Sum for Conformance {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), std::ops::Add::add)
    }
}

/// What becomes of the items of a list of `old` items that one of `new` items follows; `compare` says
/// how alike an old and a new one are.
pub fn edits(old: usize, new: usize, compare: impl Fn(usize, usize) -> Conformance) -> Vec<Edit> {
    let ends = Point {
        old: count(old),
        new: count(new),
    };
    let at_front = |at: Point| compare(index(at.old), index(at.new));
    let at_back = |at: Point| {
        let at = ends - at - Point { old: 1, new: 1 };
        compare(index(at.old), index(at.new))
    };
    let mut front = Way::new(Edit::Gone);
    let mut back = Way::new(Edit::New);
    // Bounds what is looked at: the cost grows with the lists, and not with their product.
    let mut budget = 4 * (old + new);
    let mut is_front = true;
    loop {
        let between = ends - front.frontier - back.frontier;
        if between.old <= 0 || between.new <= 0 || budget == 0 {
            break;
        }
        if is_front {
            front.search(ends - back.at, &at_front, &mut budget);
        } else {
            back.search(ends - front.at, &at_back, &mut budget);
        }
        is_front = !is_front;
    }
    front.connect(ends - back.at, &at_front);
    front.edits.extend(back.edits.into_iter().rev());
    front.edits
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

fn index(at: i64) -> usize {
    usize::try_from(at).unwrap_or_default()
}

/// A place in both lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    old: i64,
    new: i64,
}

impl std::ops::Sub for Point {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            old: self.old - other.old,
            new: self.new - other.new,
        }
    }
}

/// The way from one of the ends, in places counted from that end.
struct Way {
    at: Point,
    /// From where the search goes on; the way may not have come so far.
    frontier: Point,
    edits: Vec<Edit>,
    /// What is said first of two items that have nothing in common, where as many are left of both.
    first: Edit,
}

impl Way {
    fn new(first: Edit) -> Self {
        let at = Point { old: 0, new: 0 };
        Self {
            at,
            frontier: at,
            edits: Vec::new(),
            first,
        }
    }

    fn step(&mut self, edit: Edit) {
        if edit != Edit::New {
            self.at.old += 1;
        }
        if edit != Edit::Gone {
            self.at.new += 1;
        }
        self.edits.push(edit);
    }

    /// Looks for two equal items across the frontier, nearest first, and goes as far as they are equal.
    /// `ends` is how far the other way has come.
    fn search(&mut self, ends: Point, compare: &impl Fn(Point) -> Conformance, budget: &mut usize) {
        let (mut is_end_of_old, mut is_end_of_new) = (false, false);
        let aside = (0..).flat_map(|away: i64| [away, -1 - away]);
        for away in aside {
            if (is_end_of_old && is_end_of_new) || *budget == 0 {
                break;
            }
            let place = Point {
                old: self.frontier.old + away,
                new: self.frontier.new - away,
            };
            if place.old >= ends.old || place.new < self.at.new {
                is_end_of_old = true;
            } else if place.new >= ends.new || place.old < self.at.old {
                is_end_of_new = true;
            } else if compare(place).is_equal() {
                self.connect(place, compare);
                self.step(Edit::Same);
                while self.at.old < ends.old
                    && self.at.new < ends.new
                    && compare(self.at).is_equal()
                {
                    self.step(Edit::Same);
                }
                self.frontier = self.at;
                break;
            } else {
                *budget -= 1;
            }
        }
        let left = ends - self.frontier;
        if left.old >= left.new {
            self.frontier.old += 1;
        } else {
            self.frontier.new += 1;
        }
    }

    /// Goes to a place, item by item.
    fn connect(&mut self, place: Point, compare: &impl Fn(Point) -> Conformance) {
        while self.at.old < place.old && self.at.new < place.new {
            let conformance = compare(self.at);
            let left = place - self.at;
            let edit = if conformance.is_equal() {
                Edit::Same
            } else if conformance.is_similar() {
                Edit::Changed
            } else {
                match left.old.cmp(&left.new) {
                    std::cmp::Ordering::Greater => Edit::Gone,
                    std::cmp::Ordering::Less => Edit::New,
                    std::cmp::Ordering::Equal => self.first,
                }
            };
            self.step(edit);
        }
        while self.at.old < place.old {
            self.step(Edit::Gone);
        }
        while self.at.new < place.new {
            self.step(Edit::New);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edits of two texts, letter by letter; letters are similar to their other case only.
    fn script(old: &str, new: &str) -> String {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        let compare = |x: usize, y: usize| {
            let (x, y) = (old[x], new[y]);
            let different = match x.eq_ignore_ascii_case(&y) {
                _ if x == y => 0,
                true => 1,
                false => 2,
            };
            Conformance { same: 0, different }
        };
        let edits = edits(old.len(), new.len(), compare).into_iter();
        let letters = edits.map(|edit| match edit {
            Edit::Same => '.',
            Edit::Changed => 'M',
            Edit::Gone => 'X',
            Edit::New => 'Y',
        });
        letters.collect()
    }

    #[test]
    fn what_is_the_same_is_found_from_both_ends() {
        assert_eq!(script("", ""), "");
        assert_eq!(script("", "#"), "Y");
        assert_eq!(script("#", ""), "X");
        assert_eq!(script("abc", "abc"), "...");
        assert_eq!(script("abc", "b"), "X.X");
        assert_eq!(script("a", "A"), "M");
        assert_eq!(script("a", "b"), "XY");
        assert_eq!(script("ABx", "ABC"), "..XY");
        assert_eq!(script("xABC", "ABC"), "X...");
    }

    #[test]
    fn of_two_short_lists_each_item_is_compared_with_its_place() {
        // A longer look would find the b in both.
        assert_eq!(script("bE", "Be"), "MM");
        assert_eq!(script("be", "cb"), "XYXY");
    }
}
