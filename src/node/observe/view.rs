//! Sessions: each core is asked, a portion at a time, and what they answer is put together.
