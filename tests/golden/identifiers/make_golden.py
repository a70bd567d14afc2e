"""Write golden.json: masses, ions and structure keys from three programs that are not ours.

Run with rdkit, pyteomics and molmass installed, in an environment of their own (see README.md):

    python tests/golden/identifiers/make_golden.py tests/golden/identifiers/golden.json
"""

import csv
import json
import sys
from importlib.metadata import version
from pathlib import Path

from molmass import ELEMENTS, Formula
from pyteomics import mass
from rdkit import Chem
from rdkit.Chem.Descriptors import ExactMolWt

ROOT = Path(__file__).parents[3]

COMPOUNDS = {
    "glycine": "NCC(=O)O",
    "L-lactic acid": "C[C@H](O)C(=O)O",
    "D-lactic acid": "C[C@@H](O)C(=O)O",
    "lactic acid, form not said": "CC(O)C(=O)O",
    "L-lactate": "C[C@H](O)C(=O)[O-]",
    "L-lactic acid, one carbon-13": "[13CH3][C@H](O)C(=O)O",
    "L-alanine": "C[C@H](N)C(=O)O",
    "sarcosine": "CNCC(=O)O",
    "L-leucine": "CC(C)C[C@H](N)C(=O)O",
    "L-isoleucine": "CC[C@H](C)[C@H](N)C(=O)O",
    "D-glucose, ring": "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "beta-D-glucose, ring": "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "D-glucose, open": "OC[C@@H](O)[C@@H](O)[C@H](O)[C@@H](O)C=O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "L-methionine": "CSCC[C@H](N)C(=O)O",
    "choline": "C[N+](C)(C)CCO",
}

IONS = {  # adduct: (atoms added, atoms taken away, charge)
    "[M+H]+": ("H", "", 1),
    "[M+Na]+": ("Na", "", 1),
    "[M+NH4]+": ("NH4", "", 1),
    "[M+2H]2+": ("H2", "", 2),
    "[M-H]-": ("", "H", -1),
    "[M+FA-H]-": ("CH2O2", "H", -1),
}
MOLECULES = ["C2H5NO2", "C3H6O3", "C6H12O6", "C5H11NO2S", "C8H10N4O2", "C24H40O5", "C18H36O2"]


def composition(text):
    """Atoms of a formula."""
    return mass.Composition(formula=text) if text else mass.Composition()


def ion(molecule, adduct):
    """The m/z of an ion by two programs, both of which take its electrons into account."""
    added, taken, charge = IONS[adduct]
    atoms = composition(molecule) + composition(added) - composition(taken)
    formula = "".join(f"{element}{count}" for element, count in sorted(atoms.items()) if count)
    # The electron is taken off by hand: pyteomics adds protons only, molmass knows a charge in brackets.
    electron = 0.000548579909065
    by_pyteomics = (mass.calculate_mass(composition=atoms) - charge * electron) / abs(charge)
    sign = f"{abs(charge) if abs(charge) > 1 else ''}{'+' if charge > 0 else '-'}"
    charged = Formula(f"[{formula}]{sign}")
    return {"pyteomics": by_pyteomics, "molmass": charged.isotope.mz}


def catalog():
    """Masses of the catalogue's compounds from their formulas alone."""
    with (ROOT / "course/simulation/catalog/metabolites.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["hmdb"]: Formula(row["formula"]).isotope.mass for row in rows}


def main(path):
    """Everything that the tests compare with."""
    structures = {}
    for name, smiles in COMPOUNDS.items():
        molecule = Chem.MolFromSmiles(smiles)
        structures[name] = {"mass": ExactMolWt(molecule), "inchikey": Chem.MolToInchiKey(molecule)}
    carbon = ELEMENTS["C"].isotopes
    golden = {
        "versions": {name: version(name) for name in ("rdkit", "pyteomics", "molmass")}
        | {"python": sys.version.split()[0]},
        "structures": structures,
        "masses": {
            m: {"pyteomics": mass.calculate_mass(formula=m), "molmass": Formula(m).isotope.mass} for m in MOLECULES
        },
        "ions": {molecule: {adduct: ion(molecule, adduct) for adduct in IONS} for molecule in MOLECULES},
        "carbon_13_less_carbon_12": {
            "molmass": carbon[13].mass - carbon[12].mass,
            "pyteomics": mass.nist_mass["C"][13][0] - mass.nist_mass["C"][12][0],
        },
        "catalog": catalog(),
    }
    Path(path).write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
