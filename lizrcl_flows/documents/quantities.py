"""The number types of the documents: each carries its unit, so that every stored field declares what it means."""

from typing import Annotated

from pydantic import Field

from lizrcl_flows.units import Unit

Count = Annotated[int, Field(ge=0), Unit("1")]
Index = Annotated[int, Field(ge=0), Unit("1")]
Seed = Annotated[int, Field(ge=0), Unit("1")]
Number = Annotated[float, Unit("1")]
Fraction = Annotated[float, Field(ge=0, le=1), Unit("1")]
Energy = Annotated[float, Unit("eV")]
EnergyPerAtom = Annotated[float, Unit("eV/atom")]
Force = Annotated[float, Unit("eV/A")]
Stress = Annotated[float, Unit("eV/A^3")]
Length = Annotated[float, Field(gt=0), Unit("A")]
Volume = Annotated[float, Unit("A^3")]
Temperature = Annotated[float, Field(ge=0), Unit("K")]
Pressure = Annotated[float, Unit("GPa")]
TimeFs = Annotated[float, Field(ge=0), Unit("fs")]
Seconds = Annotated[float, Field(ge=0), Unit("s")]
CoreHours = Annotated[float, Field(ge=0), Unit("h")]
Bytes = Annotated[int, Field(ge=0), Unit("B")]
Diffusivity = Annotated[float, Unit("A^2/ps")]
AreaA2 = Annotated[float, Unit("A^2")]
