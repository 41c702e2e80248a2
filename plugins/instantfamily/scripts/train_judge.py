"""Train the judge of drawn faces: another network, another seed, other people than the encoder's.

Run ``python plugins/instantfamily/scripts/train_judge.py`` (about four minutes of one core);
killed and started again it goes on from its checkpoint to the same weights. The log and the
figures go beside the weights.
"""

from recogniser import main

from zoo_instantfamily.encoders import DrawnFaceJudge, RecogniserTraining

if __name__ == "__main__":
    main("judge", DrawnFaceJudge, RecogniserTraining(seed=7007, steps=600, people=64))
