//! Enums of the library as values of options: their names, each with its documentation as help.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::{fmt::Debug, str::FromStr};
use strum::{EnumMessage, VariantArray};

pub(super) fn choice<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantArray + EnumMessage + FromStr<Err: Debug> + Copy + Send + Sync,
    &'static str: From<T>,
{
    let value = |variant: &'static T| {
        let help = variant.get_documentation().unwrap_or_default().trim_end_matches('.');
        PossibleValue::new(<&str>::from(*variant)).help(help)
    };
    let names = PossibleValuesParser::new(T::VARIANTS.iter().map(value));
    names.map(|name| name.parse().expect("one of the names"))
}
