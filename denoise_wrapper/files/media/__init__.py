"""Audio and video files by FFmpeg's libraries, in process: tracks decoded by time stamps, all else carried over."""
