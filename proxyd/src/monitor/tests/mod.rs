mod decide;
mod engine;
mod lag;
mod schedule;
