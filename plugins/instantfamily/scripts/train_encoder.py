"""Train the encoder of drawn faces that the plugin ships.

Run ``python plugins/instantfamily/scripts/train_encoder.py`` (about seven minutes of one core);
killed and started again it goes on from its checkpoint to the same weights. The log and the
figures go beside the weights.
"""

from recogniser import main

from zoo_instantfamily.encoders import DrawnFaceEncoder, RecogniserTraining

if __name__ == "__main__":
    main("encoder", DrawnFaceEncoder, RecogniserTraining(seed=11, steps=700, people=64))
