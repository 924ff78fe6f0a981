//! Casts that cut nothing: a value that the declared type cannot hold as it is fails the task that reads it.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, ident,
};

use crate::types;

/// A column as another type.
pub(crate) fn exactly(column: &str, from: &DataType, to: &DataType) -> Expr {
    if !cuts(from, to) {
        return datafusion::logical_expr::cast(ident(column), to.clone());
    }
    let signature = Signature::any(1, Volatility::Immutable);
    let cast = Exactly { column: column.to_owned(), kind: to.clone(), signature };
    ScalarUDF::new_from_impl(cast).call(vec![ident(column)])
}

/// Whether a cast may make another value of one that it does not refuse. That texts are read, that floats are near what
/// was meant, and that decimals are rounded, is known of them.
pub(crate) fn cuts(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (from, to) if from == to => false,
        (DataType::Dictionary(_, from), to) => cuts(from, to),
        (from, DataType::Boolean) => from.is_numeric(),
        (from, to) if from.is_floating() => to.is_integer() || to.is_temporal(),
        (from, to) if from.is_decimal() => to.is_integer(),
        (from, DataType::Date32) => matches!(from, DataType::Timestamp(..) | DataType::Date64),
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exactly {
    column: String,
    kind: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Exactly {
    fn name(&self) -> &str {
        "exactly"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kind.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(values) = args.args.first() else { return Err(DataFusionError::Internal("no argument".into())) };
        let values = plain(&values.to_array(args.number_rows)?)?;
        let strictly = CastOptions { safe: false, ..CastOptions::default() };
        let made = cast_with_options(&values, &self.kind, &strictly)?;
        let cut = differ(&values, &cast(&made, values.data_type())?)?;
        match cut.iter().position(|cut| cut == Some(true)) {
            None => Ok(ColumnarValue::Array(made)),
            Some(row) => Err(self.misfit(&values, row)),
        }
    }
}

impl Exactly {
    fn misfit(&self, values: &ArrayRef, row: usize) -> DataFusionError {
        let value = array_value_to_string(values, row).unwrap_or_default();
        let (column, kind, found) = (&self.column, types::word(&self.kind), types::word(values.data_type()));
        DataFusionError::Execution(format!(
            "column `{column}`: `{value}` is not of type {kind} (declare it as {found}, and say in SQL how to make {kind} of it)"
        ))
    }
}

/// What a dictionary stands for.
fn plain(values: &ArrayRef) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Dictionary(_, kind) => Ok(cast(values, kind)?),
        _ => Ok(values.clone()),
    }
}

/// Which values are others; -0.0 is 0.0.
fn differ(values: &ArrayRef, others: &ArrayRef) -> Result<BooleanArray> {
    if !values.data_type().is_floating() {
        return Ok(distinct(values, others)?);
    }
    let wide = |array: &ArrayRef| cast(array, &DataType::Float64);
    let (values, others) = (wide(values)?, wide(others)?);
    let pairs = values.as_primitive::<Float64Type>().iter().zip(others.as_primitive::<Float64Type>());
    Ok(pairs.map(|(value, other)| Some(value != other)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Decimal128Array, Float32Array, Float64Array, Int64Array, TimestampMicrosecondArray,
    };
    use datafusion::arrow::datatypes::{Field, TimeUnit};
    use datafusion::config::ConfigOptions;

    use super::*;

    fn cast_exactly(values: ArrayRef, kind: DataType) -> std::result::Result<ArrayRef, String> {
        assert!(cuts(values.data_type(), &kind));
        let signature = Signature::any(1, Volatility::Immutable);
        let cast = Exactly { column: "c".into(), kind: kind.clone(), signature };
        let args = ScalarFunctionArgs {
            number_rows: values.len(),
            arg_fields: vec![Arc::new(Field::new("c", values.data_type().clone(), true))],
            args: vec![ColumnarValue::Array(values)],
            return_field: Arc::new(Field::new("c", kind, true)),
            config_options: Arc::new(ConfigOptions::new()),
        };
        match cast.invoke_with_args(args) {
            Ok(made) => Ok(made.into_array(0).unwrap()),
            Err(error) => Err(error.strip_backtrace()),
        }
    }

    #[test]
    fn whole_numbers_are_whole_whatever_holds_them() {
        let floats = Arc::new(Float32Array::from(vec![Some(-0.0), None, Some(16_777_216.0)]));
        let made = cast_exactly(floats, DataType::Int64).unwrap();
        assert_eq!(made.as_ref(), &Int64Array::from(vec![Some(0), None, Some(16_777_216)]) as &dyn Array);
        for value in [1.7, f32::NAN, f32::INFINITY] {
            assert!(cast_exactly(Arc::new(Float32Array::from(vec![3.0, value])), DataType::Int64).is_err(), "{value}");
        }
    }

    #[test]
    fn a_dictionary_is_what_it_stands_for() {
        let kind = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Float64));
        let floats = |values: [f64; 2]| cast(&(Arc::new(Float64Array::from_iter_values(values)) as ArrayRef), &kind);
        let made = cast_exactly(floats([2.0, 7.0]).unwrap(), DataType::Int64).unwrap();
        assert_eq!(made.as_ref(), &Int64Array::from(vec![2, 7]) as &dyn Array);
        assert!(cast_exactly(floats([2.0, 7.5]).unwrap(), DataType::Int64).is_err());
    }

    #[test]
    fn what_would_be_cut_is_named() {
        let money = || Arc::new(Decimal128Array::from(vec![1200, 1250]).with_precision_and_scale(9, 2).unwrap());
        let refused = cast_exactly(money(), DataType::Int64).unwrap_err();
        assert!(refused.contains("column `c`: `12.50` is not of type int (declare it as decimal(9,2)"), "{refused}");
        let noon = TimestampMicrosecondArray::from(vec![86_400_000_000, 129_600_000_000]);
        assert!(cast_exactly(Arc::new(noon.slice(0, 1)), DataType::Date32).is_ok());
        assert!(cast_exactly(Arc::new(noon), DataType::Date32).is_err());
        assert!(!cuts(
            &DataType::Timestamp(TimeUnit::Nanosecond, None),
            &DataType::Timestamp(TimeUnit::Microsecond, None)
        ));
    }
}
