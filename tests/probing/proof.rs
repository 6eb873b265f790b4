//! Real answers: written when the prober is there.
