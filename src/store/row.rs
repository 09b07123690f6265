//! Macro that declares a row of a table from one list of columns, with the code to read, insert and update it.

/// Declares a row of a table, and derives from one list of columns how the row is read and written.
///
/// - `$key` identifies the row. `fixed` columns are written by an insert only, `changing` ones also by an update, and
///   `generated` ones only by the database. A row without `changing` columns has no update.
/// - Rows are read by the positions of their columns: looking each column up by name took a fifth of the time of a
///   list. A `select` of rows must therefore begin with `COLUMNS`.
/// - Any number of rows is written in one statement, with each column as an array. Names and values of the columns come
///   from the same list, so that two columns of the same type cannot be swapped.
macro_rules! row {
    ($(#[$attribute:meta])* $vis:vis $row:ident of $table:ident {
        $key:ident: $key_type:ty,
        fixed { $($fixed:ident: $fixed_type:ty,)* }
        changing { $($changing:ident: $changing_type:ty,)* }
        generated { $($generated:ident: $generated_type:ty,)* }
    }) => {
        $(#[$attribute])*
        $vis struct $row {
            $vis $key: $key_type,
            $($vis $fixed: $fixed_type,)*
            $($vis $changing: $changing_type,)*
            $($vis $generated: $generated_type,)*
        }

        impl $row {
            /// Columns of the table or alias `a`, for a `select` that begins with them.
            $vis const COLUMNS: &str = concat!(
                "a.", stringify!($key)
                $(, ", a.", stringify!($fixed))* $(, ", a.", stringify!($changing))* $(, ", a.", stringify!($generated))*
            );
            /// Number of columns, which is the position of the first column after them.
            $vis const COUNT: usize = [
                stringify!($key), $(stringify!($fixed),)* $(stringify!($changing),)* $(stringify!($generated),)*
            ].len();

            /// Appends the statement that inserts these rows, in this order.
            $vis fn push_insert(query: &mut sqlx::QueryBuilder<sqlx::Postgres>, rows: impl IntoIterator<Item = Self>) {
                let rows = rows.into_iter();
                let mut $key = Vec::with_capacity(rows.size_hint().0);
                $(let mut $fixed = Vec::with_capacity(rows.size_hint().0);)*
                $(let mut $changing = Vec::with_capacity(rows.size_hint().0);)*
                for row in rows {
                    $key.push(row.$key);
                    $($fixed.push(row.$fixed);)*
                    $($changing.push(row.$changing);)*
                }
                query.push(concat!(
                    "insert into ", stringify!($table), " (",
                    row!(@names $key $($fixed)* $($changing)*), ") select ",
                    row!(@names $key $($fixed)* $($changing)*), " from unnest("
                ));
                let mut values = query.separated(", ");
                values.push_bind($key);
                $(values.push_bind($fixed);)*
                $(values.push_bind($changing);)*
                query.push(concat!(
                    ") with ordinality as new (", row!(@names $key $($fixed)* $($changing)*), ", place) order by place"
                ));
            }
        }

        row!(@update $vis $row of $table by $key: $key_type { $($changing: $changing_type,)* });

        impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for $row {
            fn from_row(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                let mut indexes = 0..Self::COUNT;
                let mut index = || indexes.next().ok_or(sqlx::Error::ColumnIndexOutOfBounds { index: Self::COUNT, len: 0 });
                Ok(Self {
                    $key: sqlx::Row::try_get(row, index()?)?,
                    $($fixed: sqlx::Row::try_get(row, index()?)?,)*
                    $($changing: sqlx::Row::try_get(row, index()?)?,)*
                    $($generated: sqlx::Row::try_get(row, index()?)?,)*
                })
            }
        }
    };

    (@names $first:ident $($column:ident)*) => { concat!(stringify!($first) $(, ", ", stringify!($column))*) };

    (@update $vis:vis $row:ident of $table:ident by $key:ident: $key_type:ty { }) => {};
    (@update $vis:vis $row:ident of $table:ident by $key:ident: $key_type:ty {
        $first:ident: $first_type:ty, $($changing:ident: $changing_type:ty,)*
    }) => {
        impl $row {
            /// Appends the statement that updates the `changing` columns of these rows. It affects as many rows as are
            /// given, if all of them exist.
            $vis fn push_update(query: &mut sqlx::QueryBuilder<sqlx::Postgres>, rows: impl IntoIterator<Item = Self>) {
                let rows = rows.into_iter();
                let mut $key = Vec::with_capacity(rows.size_hint().0);
                let mut $first = Vec::with_capacity(rows.size_hint().0);
                $(let mut $changing = Vec::with_capacity(rows.size_hint().0);)*
                for row in rows {
                    $key.push(row.$key);
                    $first.push(row.$first);
                    $($changing.push(row.$changing);)*
                }
                query.push(concat!(
                    "update ", stringify!($table), " set ",
                    stringify!($first), " = new.", stringify!($first)
                    $(, ", ", stringify!($changing), " = new.", stringify!($changing))*, " from unnest("
                ));
                let mut values = query.separated(", ");
                values.push_bind($key);
                values.push_bind($first);
                $(values.push_bind($changing);)*
                query.push(concat!(
                    ") as new (", row!(@names $key $first $($changing)*), ") where ",
                    stringify!($table), ".", stringify!($key), " = any(array[new.", stringify!($key), "])"
                ));
            }
        }
    };
}

pub(super) use row;
