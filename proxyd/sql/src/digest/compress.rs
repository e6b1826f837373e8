//! The passes over a text without literals: spaces and signs that say nothing go, lists of literals and rows of such
//! lists become short. Each works in place: what stays moves towards the front, and what a pass looks at on the left of
//! a byte is what stands there by then.

use super::DigestOptions;
use super::strip::is_name;

/// All passes. The bytes from `end` on (a number that ends the statement) are looked at but stay as they are.
pub(super) fn compress(text: &mut Vec<u8>, end: usize, options: &DigestOptions) {
    let end = spaces_and_signs(text, end, options);
    if options.grouping_limit == 0 || !may_have_lists(text) {
        return;
    }
    let end = lists(text, end, options.grouping_limit);
    if options.groups_grouping_limit > 0 {
        rows(text, end, options.grouping_limit, options.groups_grouping_limit);
    }
}

/// Whether there is anything for the passes over lists and rows: most statements have none, and need not be read again.
fn may_have_lists(text: &[u8]) -> bool {
    text.contains(&b',') && text.windows(3).any(|bytes| bytes == b"?,?" || bytes == b",..")
}

/// A text that is being shortened.
struct Shorten<'a> {
    text: &'a mut Vec<u8>,
    /// Read so far.
    at: usize,
    /// Kept so far.
    kept: usize,
    /// Where reading ends.
    end: usize,
}

impl Shorten<'_> {
    fn new(text: &mut Vec<u8>, end: usize) -> Shorten<'_> {
        Shorten { text, at: 0, kept: 0, end }
    }

    /// The byte so far from the one that is to be read; 0 beyond the text's ends.
    fn byte(&self, place: usize) -> u8 {
        self.text.get(place).copied().unwrap_or(0)
    }

    /// The byte so far on the left; before the text stands a name.
    fn left(&self, distance: usize) -> u8 {
        self.at.checked_sub(distance).map_or(b'0', |place| self.byte(place))
    }

    fn keep(&mut self) {
        let byte = self.byte(self.at);
        self.write(byte);
        self.at += 1;
    }

    /// Keeps what comes before the next byte of this kind.
    fn keep_until(&mut self, stop: impl Fn(u8) -> bool) {
        let rest = self.text.get(self.at..self.end).unwrap_or_default();
        let count = rest.iter().position(|&byte| stop(byte)).unwrap_or(rest.len());
        if self.at != self.kept {
            self.text.copy_within(self.at..self.at + count, self.kept);
        }
        self.at += count;
        self.kept += count;
    }

    fn write(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.kept) {
            *place = byte;
            self.kept += 1;
        }
    }

    fn ends_with(&self, end: &[u8]) -> bool {
        self.text.get(..self.kept).is_some_and(|kept| kept.ends_with(end))
    }

    fn starts_with(&self, place: usize, start: &[u8]) -> bool {
        self.text.get(place..self.end).is_some_and(|rest| rest.starts_with(start))
    }

    /// Closes the gap; gives the new end of what was read.
    fn finish(self) -> usize {
        self.text.drain(self.kept..self.end);
        self.kept
    }
}

fn spaces_and_signs(text: &mut Vec<u8>, end: usize, options: &DigestOptions) -> usize {
    let mut pass = Shorten::new(text, end);
    while pass.at < pass.end {
        pass.keep_until(|byte| matches!(byte, b' ' | b'+' | b'-') || byte.is_ascii_digit());
        if pass.at == pass.end {
            break;
        }
        let (byte, right) = (pass.byte(pass.at), pass.byte(pass.at + 1));
        let (left, further) = (pass.left(1), pass.left(2));
        let goes = match byte {
            b' ' => space_goes(further, left, right, options.keep_comment),
            b'+' | b'-' => sign_goes(further, left, right),
            b'0'..=b'9' if options.no_digits => {
                if pass.kept > 0 && !pass.ends_with(b"?") {
                    pass.write(b'?');
                }
                true
            }
            _ => false,
        };
        if goes {
            pass.at += 1;
        } else {
            pass.keep();
        }
    }
    pass.finish()
}

/// Inside parentheses, beside a comma, between an operator and a literal.
fn space_goes(further: u8, left: u8, right: u8, keep_comment: bool) -> bool {
    if left == b'(' || right == b')' {
        true
    } else if left == b',' || right == b',' || (is_arithmetic(left) && right == b'?') {
        !(keep_comment && (further, left) == (b'*', b'/'))
    } else {
        is_arithmetic(right) && left == b'?'
    }
}

/// A sign goes where it can belong to a literal: not after a literal or a parenthesis. With a space before it, it also
/// goes after a name.
fn sign_goes(further: u8, left: u8, right: u8) -> bool {
    let before = if left == b' ' { further } else { left };
    if is_name(before) {
        return left == b' ';
    }
    !matches!(before, b'?' | b')') && matches!(right, b'?' | b' ')
}

/// Inside parentheses, of more than `limit` + 1 literals the first ones stay and `...` stands for the others.
fn lists(text: &mut Vec<u8>, end: usize, limit: usize) -> usize {
    let mut pass = Shorten::new(text, end);
    let mut inside = false;
    while pass.at < pass.end {
        if inside && pass.ends_with(b",...") {
            skip_elements(&mut pass);
        }
        let byte = pass.byte(pass.at);
        let begins = inside
            && pass.at + 2 * limit + 1 < pass.end
            && pass.starts_with(pass.at, b"?,?")
            && matches!(pass.byte(pass.at + 3), b',' | b')')
            && !is_arithmetic(pass.left(1));
        if begins {
            list(&mut pass, limit);
        } else if pass.at < pass.end {
            pass.keep();
        }
        match byte {
            b'(' => inside = true,
            b')' => inside = false,
            _ => {}
        }
    }
    pass.finish()
}

/// Literals that follow an abbreviation go too.
fn skip_elements(pass: &mut Shorten<'_>) {
    let mut at = pass.at;
    if pass.byte(at) == b',' {
        at += 1;
    }
    while pass.starts_with(at, b"?,") {
        at += 2;
    }
    let last = pass.starts_with(at, b"?)");
    if last {
        at += 1;
    }
    if last || at > pass.at + 1 {
        pass.at = at;
    }
}

fn list(pass: &mut Shorten<'_>, limit: usize) {
    let (mut at, mut count) = (pass.at, 0);
    while at + 1 < pass.end && pass.starts_with(at, b"?,") {
        at += 2;
        count += 1;
    }
    // One more element, if the list ends with it, goes with the others.
    let closes = at + 1 < pass.end && pass.byte(at + 1) == b')';
    let length = count * 2 + usize::from(closes);
    if length < limit * 2 + 3 {
        for _ in 0..count * 2 {
            pass.keep();
        }
        return;
    }
    for _ in 0..limit * 2 {
        pass.keep();
    }
    for _ in 0..3 {
        pass.write(b'.');
    }
    pass.at = if closes { at + 1 } else { at - 1 };
}

/// Of more than `limit` such lists in a row the first ones stay.
fn rows(text: &mut Vec<u8>, end: usize, list: usize, limit: usize) {
    let mut row = vec![b'('];
    row.extend(b"?,".repeat(list));
    row.extend(b"...)");
    // With the comma after it.
    let size = row.len() + 1;
    let mut pass = Shorten::new(text, end);
    while pass.at < pass.end {
        if pass.ends_with(b"),...") && skip_rows(&mut pass, &row) {
            continue;
        }
        let (mut at, mut found) = (pass.at, 0);
        while pass.starts_with(at, &row) {
            at += row.len();
            found += 1;
            if pass.byte(at) == b',' {
                at += 1;
            }
        }
        if found > limit && pass.at + size * (limit + 1) <= pass.end + 1 {
            for _ in 0..size * limit {
                pass.keep();
            }
            for _ in 0..3 {
                pass.write(b'.');
            }
            pass.at = at;
        }
        if pass.at < pass.end {
            pass.keep();
        }
    }
    pass.finish();
}

/// Rows that follow an abbreviation go too. False when there are none.
fn skip_rows(pass: &mut Shorten<'_>, row: &[u8]) -> bool {
    let start = pass.at + usize::from(matches!(pass.byte(pass.at), b',' | b' '));
    let mut at = start;
    while pass.starts_with(at, row) {
        at += row.len();
        if at < pass.end && pass.byte(at) == b',' {
            at += 1;
        }
    }
    let found = at > start;
    if found {
        pass.at = at;
    }
    found
}

fn is_arithmetic(byte: u8) -> bool {
    matches!(byte, b'+' | b'-' | b'*' | b'/' | b'%')
}
