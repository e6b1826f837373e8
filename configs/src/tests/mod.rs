//! The file as operators meet it: texts of problems, defaults, the shipped layouts.

mod property;
mod resolved;
mod shipped;
mod texts;
mod together;
