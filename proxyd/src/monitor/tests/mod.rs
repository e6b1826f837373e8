mod decide;
mod engine;
mod galera;
mod lag;
mod schedule;
