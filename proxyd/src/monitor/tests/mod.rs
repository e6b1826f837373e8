mod decide;
mod engine;
mod schedule;
