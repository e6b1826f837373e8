mod aurora;
mod decide;
mod engine;
mod galera;
mod group_replication;
mod lag;
mod schedule;
