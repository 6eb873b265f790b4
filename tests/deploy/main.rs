//! What is in `deploy/` is true: each file is read by the program it is written for.

mod dashboard;
mod files;
mod programs;
mod udp;
