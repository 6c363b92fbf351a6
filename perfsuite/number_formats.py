"""The registry of number formats that networks are trained in: how many bits each has for what, and what follows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFormat:
    """A binary floating-point format with subnormal numbers and infinities.

    Attributes:
        name: Its name.
        num_exponent_bits: Of the exponent.
        num_fraction_bits: Of the fraction, without the leading bit that is not stored.
        source: Where these stand.
    """

    name: str
    num_exponent_bits: int
    num_fraction_bits: int
    source: str

    @property
    def num_bits(self) -> int:
        """All bits, the sign's included."""
        return 1 + self.num_exponent_bits + self.num_fraction_bits

    @property
    def bias(self) -> int:
        """The largest exponent of a finite number; the smallest of a normal one is 1 - this."""
        return (1 << (self.num_exponent_bits - 1)) - 1

    @property
    def spacing_at_one(self) -> float:
        """From 1 to the next larger number."""
        return 2.0**-self.num_fraction_bits

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2 - self.spacing_at_one) * 2.0**self.bias

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number with all fraction bits."""
        return 2.0 ** (1 - self.bias)

    @property
    def smallest_subnormal(self) -> float:
        """The smallest positive number, and the spacing below `smallest_normal`."""
        return self.smallest_normal * self.spacing_at_one


FORMATS: dict[str, NumberFormat] = {
    one.name: one
    for one in (
        NumberFormat(name="fp32", num_exponent_bits=8, num_fraction_bits=23, source="IEEE 754-2019, table 3.5"),
        NumberFormat(name="tf32", num_exponent_bits=8, num_fraction_bits=10, source="NVIDIA A100 whitepaper, 2020"),
        NumberFormat(name="bf16", num_exponent_bits=8, num_fraction_bits=7, source="Intel BFLOAT16 definition, 2018"),
        NumberFormat(name="fp16", num_exponent_bits=5, num_fraction_bits=10, source="IEEE 754-2019, table 3.5"),
    )
}
"""By name, in the order in which they are shown."""
