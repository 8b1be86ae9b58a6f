//! A node that goes on in a new process of its program: nobody who is connected notices.

mod load;
