//! The commands with which a replica asks for a dump. Source: MySQL, "COM_REGISTER_SLAVE", "COM_BINLOG_DUMP_GTID".

use proxyd_gtid::mysql::{GtidSet, Tag, Uuid};
use proxyd_wire::Command;

/// The first event of a file comes after its magic number.
const START: u64 = 4;

/// COM_REGISTER_SLAVE: the server lists us with its replicas.
pub(crate) fn register(server_id: u32) -> Vec<u8> {
    let mut payload = vec![Command::RegisterSlave as u8];
    payload.extend(server_id.to_le_bytes());
    // No name, user, password or port to reach us by; the rest is unused.
    payload.extend([0; 3 + 2 + 4 + 4]);
    payload
}

/// COM_BINLOG_DUMP_GTID: everything that is not in `executed`, and then whatever comes.
pub(crate) fn dump(server_id: u32, executed: &GtidSet) -> Vec<u8> {
    let set = encode(executed);
    let mut payload = vec![Command::BinlogDumpGtid as u8, 0, 0];
    payload.extend(server_id.to_le_bytes());
    payload.extend(0u32.to_le_bytes());
    payload.extend(START.to_le_bytes());
    payload.extend(u32::try_from(set.len()).unwrap_or(u32::MAX).to_le_bytes());
    payload.extend(set);
    payload
}

/// A set as the server reads it: how many sources, then each with its intervals, whose ends are not in them. Servers
/// before 8.3 know no tags, so a set without any is written their way.
fn encode(set: &GtidSet) -> Vec<u8> {
    let mut sources: Vec<(&Uuid, &Tag, Vec<[u64; 2]>)> = Vec::new();
    for (uuid, tag, numbers) in set.ranges() {
        let interval = [*numbers.start(), numbers.end() + 1];
        match sources.last_mut() {
            Some((last, its, intervals)) if (*last, *its) == (uuid, tag) => intervals.push(interval),
            _ => sources.push((uuid, tag, vec![interval])),
        }
    }
    let tagged = sources.iter().any(|(_, tag, _)| !tag.as_str().is_empty());
    let count = sources.len() as u64;
    // The form stands in the highest byte and, where it is the new one, in the lowest too.
    let head = if tagged { 1 << 56 | count << 8 | 1 } else { count };
    let mut bytes = head.to_le_bytes().to_vec();
    for (uuid, tag, intervals) in sources {
        bytes.extend(uuid.as_bytes());
        if tagged {
            // At most 32: one byte as an integer of the serialization library.
            bytes.push((tag.as_str().len() as u8) << 1);
            bytes.extend(tag.as_str().as_bytes());
        }
        bytes.extend((intervals.len() as u64).to_le_bytes());
        bytes.extend(intervals.iter().flatten().flat_map(|number| number.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn sets_with_and_without_tags() {
        let set = |text: &str| text.parse::<GtidSet>().unwrap();
        let uuid = *A.parse::<Uuid>().unwrap().as_bytes();
        let number = |number: u64| number.to_le_bytes().to_vec();
        assert_eq!(encode(&GtidSet::default()), number(0));
        let plain = [number(1), uuid.to_vec(), number(2), number(1), number(6), number(7), number(8)];
        assert_eq!(encode(&set(&format!("{A}:1-5:7"))), plain.concat());
        let tagged = [
            vec![1, 2, 0, 0, 0, 0, 0, 1],
            uuid.to_vec(),
            vec![0],
            number(1),
            number(1),
            number(6),
            uuid.to_vec(),
            b"\x04ab".to_vec(),
            number(1),
            number(3),
            number(4),
        ];
        assert_eq!(encode(&set(&format!("{A}:1-5:ab:3"))), tagged.concat());
    }

    #[test]
    fn a_registration_has_its_length() {
        assert_eq!(register(7).len(), 18);
    }
}
