//! What the fuzz target runs, so that the ordinary tests can run the same for a moment.

use crate::mysql::GtidSet;
use crate::reader::{Decoder, Message, Style};
use crate::{Executed, Wanted};

/// Any bytes as a reader's, in two pieces and in one: the same must come of both.
pub fn reader(bytes: &[u8]) {
    let [cut, stream @ ..] = bytes else { return };
    let (head, tail) = stream.split_at(usize::from(*cut).min(stream.len()));
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let at_once = Decoder::default().push(stream, |message| whole.push(message));
    let mut decoder = Decoder::default();
    let in_two = decoder.push(head, |message| pieces.push(message));
    let in_two = in_two.and_then(|()| decoder.push(tail, |message| pieces.push(message)));
    assert_eq!((at_once.is_ok(), &whole), (in_two.is_ok(), &pieces));
    let mut executed = Executed::default();
    for message in whole {
        match message {
            Message::Executed(all) => executed = all,
            Message::More(range) => executed.add(range),
        }
    }
    let _ = executed.to_string();
}

/// Any text as a set: what is read from it comes back from what is written of it.
pub fn sets(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(wanted) = text.parse::<Wanted>() {
        assert_eq!(wanted.to_string().parse::<Wanted>().as_ref(), Ok(&wanted));
    }
    if let Ok(set) = text.parse::<GtidSet>() {
        let style = Style { ranges: true, tags: true };
        let mut told = Executed::default();
        let everything = style.everything(&set);
        let pushed = Decoder::default().push(everything.as_bytes(), |message| {
            if let Message::Executed(all) = message {
                told = all;
            }
        });
        assert_eq!((pushed, told), (Ok(()), Executed::from(set)));
    }
}
