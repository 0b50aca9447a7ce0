#!/bin/sh
# A satellite of Home Assistant whose microphone is clean: pip install wyoming-satellite, then
#
#   MICROPHONE='arecord -D plughw:1 -r 16000 -c 1 -f S16_LE -t raw' examples/agent_satellite.sh --name kitchen
#
# Recognisers want little taken away, so the preset is "asr"; CLEAN='--preset voice' takes more.
set -eu
python=${PYTHON:-python3}
microphone=${MICROPHONE:-arecord -r 16000 -c 1 -f S16_LE -t raw}
exec "$python" -m wyoming_satellite --uri "${URI:-tcp://0.0.0.0:10700}" \
    --mic-command "$python -m denoise_wrapper.integrations.wyoming ${CLEAN---preset asr} $microphone" "$@"
