//! Enums as values of options: their names, each with its documentation as help.

use crate::verdict::report::Format;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::{fmt::Debug, str::FromStr};
use strum::{EnumMessage, VariantArray};

/// An enum whose variants have names and documentation.
pub(super) trait Named:
    VariantArray + EnumMessage + FromStr<Err: Debug> + Into<&'static str> + Copy + Send + Sync
{
}

impl<T> Named for T where
    T: VariantArray + EnumMessage + FromStr<Err: Debug> + Into<&'static str> + Copy + Send + Sync
{
}

/// One of the variants.
pub(super) fn choice<T: Named>() -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(values::<T>());
    names.map(|name| name.parse().expect("one of the names"))
}

/// A format of every command, or a way to show things to people that one command has on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormatOr<Own> {
    Common(Format),
    Own(Own),
}

impl<Own: Copy> FormatOr<Own> {
    /// The way of the command's own, if it is one.
    pub(super) fn own(&self) -> Option<Own> {
        match self {
            Self::Common(_) => None,
            Self::Own(own) => Some(*own),
        }
    }

    /// The format in which sections are written.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Common(format) => *format,
            Self::Own(_) => Format::Text,
        }
    }

    pub(super) fn is_own(&self) -> bool {
        self.own().is_some()
    }
}

/// A format of every command, or one of these.
pub(super) fn format_or<Own: Named>() -> impl TypedValueParser<Value = FormatOr<Own>> {
    let names = PossibleValuesParser::new(values::<Format>().chain(values::<Own>()));
    names.map(|name| match name.parse() {
        Ok(own) => FormatOr::Own(own),
        Err(_) => FormatOr::Common(name.parse().expect("one of the names")),
    })
}

fn values<T: Named>() -> impl Iterator<Item = PossibleValue> {
    T::VARIANTS.iter().map(|variant| {
        let help = variant.get_documentation().unwrap_or_default().trim_end_matches('.');
        let name: &'static str = (*variant).into();
        PossibleValue::new(name).help(help)
    })
}
