//! The prepared statements that live on one backend connection: a bounded set, the longest unused goes first. No I/O.
//!
//! A statement is there once for all clients that execute it with the same parameter types: servers since MySQL 8.0.22 keep
//! the types of the first execution and convert later values to them. While a cursor is open the statement is that
//! client's alone, because another execution would close the cursor.

use std::rc::Rc;

use proxyd_wire::{Command, frame};

use super::cache::{Hold, Shared};

/// COM_STMT_CLOSE of one statement, in its frame.
const CLOSE: usize = frame::HEADER + 5;

/// What one connection has prepared.
#[derive(Debug, Default)]
pub struct Handles {
    list: Vec<Handle>,
    turn: u64,
    /// COM_STMT_CLOSE of what is not needed any more, to be sent before the next command: none has an answer.
    closing: Vec<u8>,
    closed: u64,
}

#[derive(Debug)]
struct Handle {
    statement: Hold,
    server_id: u32,
    /// The parameter types that the server remembers, from whoever executed it last.
    types: Option<Box<[u8]>>,
    /// The types of all executions; what was NULL in all of them is still open.
    shape: Box<[u8]>,
    /// The client's id of the statement whose cursor is open.
    cursor_of: Option<u32>,
    used: u64,
}

/// A statement that is ready to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready<'a> {
    pub server_id: u32,
    pub types: Option<&'a [u8]>,
}

impl Handles {
    /// The handle for an execution of `shared`, with these parameter types, by the client that calls it `client_id`.
    pub fn find(&mut self, shared: &Shared, client_id: u32, types: &[u8]) -> Option<Ready<'_>> {
        self.turn += 1;
        let turn = self.turn;
        let at = self.position(shared, client_id, types)?;
        let handle = self.list.get_mut(at)?;
        handle.used = turn;
        Some(Ready { server_id: handle.server_id, types: handle.types.as_deref() })
    }

    /// Makes room for one more under `limit`; what to send before COM_STMT_PREPARE.
    pub fn make_room(&mut self, limit: usize) -> Vec<u8> {
        while self.list.len() >= limit.max(1) {
            let unused = self.list.iter().enumerate().filter(|(_, handle)| handle.cursor_of.is_none());
            let Some((at, _)) = unused.min_by_key(|(_, handle)| handle.used) else { break };
            let handle = self.list.swap_remove(at);
            self.close(handle.server_id);
        }
        self.take_closing()
    }

    /// COM_STMT_CLOSE of what was let go of since it was last asked.
    pub fn take_closing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.closing)
    }

    /// The server has prepared `shared`.
    pub fn add(&mut self, shared: &Rc<Shared>, server_id: u32) {
        self.turn += 1;
        let statement = Hold::by_server(shared);
        self.list.push(Handle {
            statement,
            server_id,
            types: None,
            shape: Box::default(),
            cursor_of: None,
            used: self.turn,
        });
    }

    /// After an execution with these types: whether the server remembers them (after an error that is not known), and
    /// whose cursor is open.
    pub fn executed(&mut self, server_id: u32, types: &[u8], remembered: bool, cursor_of: Option<u32>) {
        let Some(handle) = self.list.iter_mut().find(|handle| handle.server_id == server_id) else { return };
        if handle.types.as_deref() != remembered.then_some(types) {
            handle.types = remembered.then(|| types.into());
        }
        merge(&mut handle.shape, types);
        handle.cursor_of = cursor_of;
    }

    /// The server's id of the statement whose cursor this client has open.
    pub fn cursor_of(&self, client_id: u32) -> Option<u32> {
        self.list.iter().find(|handle| handle.cursor_of == Some(client_id)).map(|handle| handle.server_id)
    }

    pub fn has_cursors(&self) -> bool {
        self.list.iter().any(|handle| handle.cursor_of.is_some())
    }

    /// The cursor has given its last row, and the server has closed it: the statement is everybody's again, unless
    /// there is another one meanwhile.
    pub fn cursor_ended(&mut self, client_id: u32) {
        let Some(at) = self.list.iter().position(|handle| handle.cursor_of == Some(client_id)) else {
            return;
        };
        let id = self.list[at].statement.id;
        let twin = |handle: &Handle| handle.cursor_of.is_none() && handle.statement.id == id;
        if self.list.iter().any(twin) {
            let handle = self.list.swap_remove(at);
            self.close(handle.server_id);
        } else {
            self.list[at].cursor_of = None;
        }
    }

    /// The client is done with its cursor: the statement is closed, which closes both.
    pub fn drop_cursor(&mut self, client_id: u32) {
        self.drop_where(|handle| handle.cursor_of == Some(client_id));
    }

    /// The server says that it cannot use the statement any more.
    pub fn forget(&mut self, server_id: u32) {
        self.drop_where(|handle| handle.server_id == server_id);
    }

    /// Closes the statement wherever no cursor needs it: it is to be prepared anew.
    pub fn forget_all(&mut self, shared: &Shared) {
        self.drop_where(|handle| handle.statement.id == shared.id && handle.cursor_of.is_none());
    }

    /// Closes everything that no cursor needs; false when there was nothing.
    pub fn drop_unused(&mut self) -> bool {
        self.drop_where(|handle| handle.cursor_of.is_none())
    }

    fn drop_where(&mut self, gone: impl Fn(&Handle) -> bool) -> bool {
        let before = self.list.len();
        while let Some(at) = self.list.iter().position(&gone) {
            let handle = self.list.swap_remove(at);
            self.close(handle.server_id);
        }
        self.list.len() < before
    }

    /// The server has forgotten all of them: after COM_RESET_CONNECTION.
    pub fn clear(&mut self) {
        self.list.clear();
        self.closing.clear();
    }

    /// How many were closed since it was last asked.
    pub fn take_closed(&mut self) -> u64 {
        std::mem::take(&mut self.closed)
    }

    fn close(&mut self, server_id: u32) {
        let [a, b, c, d] = server_id.to_le_bytes();
        let packet: [u8; CLOSE] = [5, 0, 0, 0, Command::StmtClose as u8, a, b, c, d];
        self.closing.extend_from_slice(&packet);
        self.closed += 1;
    }

    fn position(&self, shared: &Shared, client_id: u32, types: &[u8]) -> Option<usize> {
        let fits = |handle: &Handle| handle.statement.id == shared.id && compatible(&handle.shape, types);
        let own = self.list.iter().position(|handle| fits(handle) && handle.cursor_of == Some(client_id));
        own.or_else(|| self.list.iter().position(|handle| fits(handle) && handle.cursor_of.is_none()))
    }
}

/// `MYSQL_TYPE_NULL`: says nothing of what may come later.
const NULL: [u8; 2] = [6, 0];

/// Whether executions with `types` may follow those that made the shape.
fn compatible(shape: &[u8], types: &[u8]) -> bool {
    let pairs = shape.chunks_exact(2).zip(types.chunks_exact(2));
    pairs.into_iter().all(|(ours, theirs)| ours == theirs || ours == NULL || theirs == NULL)
}

fn merge(shape: &mut Box<[u8]>, types: &[u8]) {
    if shape.len() != types.len() {
        *shape = types.into();
        return;
    }
    for (ours, theirs) in shape.chunks_exact_mut(2).zip(types.chunks_exact(2)) {
        if ours == NULL {
            ours.copy_from_slice(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::prepared::cache::{Cache, Key};
    use crate::session::settings::{Charset, Settings};

    fn statements<const N: usize>() -> [Rc<Shared>; N] {
        let (mut cache, environment) = (Cache::new(0, 1), Settings::new("a", Charset::Id(45)));
        std::array::from_fn(|n| {
            let text = format!("SELECT {n}");
            let key = Key { user: "app", environment: &environment, text: text.as_bytes() };
            cache.find_or_make(key, &proxyd_sql::classify(text.as_bytes()), 100, proxyd_sql::Digest::default)
        })
    }

    fn close(id: u8) -> [u8; CLOSE] {
        [5, 0, 0, 0, 0x19, id, 0, 0, 0]
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let [a, b, c] = statements();
        let mut handles = Handles::default();
        handles.add(&a, 1);
        handles.add(&b, 2);
        assert!(handles.make_room(3).is_empty());
        assert_eq!(handles.find(&a, 9, &[]), Some(Ready { server_id: 1, types: None }));
        assert_eq!(handles.make_room(2), close(2));
        handles.add(&c, 3);
        assert!(handles.find(&b, 9, &[]).is_none());
        assert_eq!(handles.list.len(), 2);
        assert!(handles.drop_unused() && !handles.drop_unused());
        assert_eq!(handles.take_closing().len(), 2 * CLOSE);
        handles.add(&a, 4);
        handles.clear();
        assert!(handles.find(&a, 9, &[]).is_none());
    }

    #[test]
    fn a_handle_is_for_executions_with_the_same_types() {
        let [a] = statements();
        let mut handles = Handles::default();
        handles.add(&a, 1);
        handles.executed(1, &[8, 0, 6, 0], true, None);
        assert_eq!(handles.find(&a, 5, &[8, 0, 6, 0]).unwrap().types, Some(&[8, 0, 6, 0][..]));
        assert!(handles.find(&a, 5, &[0xfd, 0, 6, 0]).is_none(), "a text would be made a number");
        assert!(handles.find(&a, 5, &[6, 0, 0xfd, 0]).is_some(), "NULL goes with every type");
        handles.executed(1, &[6, 0, 0xfd, 0], false, None);
        assert_eq!(handles.find(&a, 5, &[8, 0, 0xfd, 0]).unwrap().types, None, "an error: who knows");
        assert!(handles.find(&a, 5, &[8, 0, 8, 0]).is_none());
        handles.add(&a, 2);
        assert_eq!(handles.find(&a, 5, &[8, 0, 8, 0]).unwrap().server_id, 2);
        handles.forget_all(&a);
        assert_eq!(handles.take_closing().len(), 2 * CLOSE);
    }

    #[test]
    fn an_open_cursor_has_its_statement_for_itself() {
        let [a] = statements();
        let mut handles = Handles::default();
        handles.add(&a, 1);
        handles.executed(1, &[], true, Some(9));
        assert_eq!((handles.cursor_of(9), handles.has_cursors()), (Some(1), true));
        assert!(handles.find(&a, 5, &[]).is_none(), "another one must not execute it");
        assert!(handles.make_room(1).is_empty(), "nor may it be closed");
        handles.add(&a, 2);
        assert_eq!(handles.find(&a, 5, &[]).unwrap().server_id, 2);
        assert_eq!(handles.find(&a, 9, &[]).unwrap().server_id, 1);
        handles.cursor_ended(9);
        assert_eq!((handles.take_closing(), handles.list.len()), (close(1).to_vec(), 1));
        handles.executed(2, &[], true, Some(9));
        handles.cursor_ended(9);
        assert_eq!(handles.find(&a, 5, &[]).unwrap().server_id, 2, "without a twin it is everybody's again");
        handles.executed(2, &[], true, Some(9));
        handles.drop_cursor(9);
        assert_eq!((handles.take_closing(), handles.list.len()), (close(2).to_vec(), 0));
    }

    #[test]
    fn a_statement_that_the_server_lost_is_closed_and_forgotten() {
        let [a] = statements();
        let mut handles = Handles::default();
        handles.add(&a, 1);
        handles.forget(1);
        assert_eq!(handles.find(&a, 9, &[]), None);
        assert_eq!(handles.make_room(20), close(1));
    }
}
