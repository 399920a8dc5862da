"""SmartNoise's synthesizers as engines of their own: planned here, fitted in SmartNoise's environment.

smartnoise-synth needs libraries that clash with this project's, so whatever imports it lies in
``dp_models.smartnoise.inside`` and runs under the interpreter of ``.venv-smartnoise`` alone (`make smartnoise`). Plans
are made without it. All of them get the declared domain as codes (numbers in their declared bins, 32 of equal width by
default), fixed sizes, and the public number of rows; nothing of that is learnt.

``smartnoise-mst``, ``smartnoise-aim`` and ``smartnoise-mwem`` draw every noisy count and every choice from this
project's `Noise` and are priced by its accountants. The others (`dp_models.smartnoise.claimed`) run SmartNoise's code
as it is: what they cost is what they claim, and nobody has shown that they keep to it.
"""

ENGINES = (
    "smartnoise-aim",
    "smartnoise-dpctgan",
    "smartnoise-dpgan",
    "smartnoise-mst",
    "smartnoise-mwem",
    "smartnoise-pacsynth",
    "smartnoise-patectgan",
    "smartnoise-pategan",
)
"""The engines that need SmartNoise's environment."""
