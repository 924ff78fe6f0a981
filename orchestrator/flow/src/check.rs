//! Whether a flow makes sense, as far as that can be said without reading data or SQL.
