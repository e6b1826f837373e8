mod aurora;
mod binlog;
mod decide;
mod engine;
mod galera;
mod group_replication;
mod lag;
mod schedule;
