"""The nouns: one file per table, checked at every read and write.

One language everywhere inside the library:

* frame = 0-based index in decoding order of the original file (for a folder of images: the number in the file name);
* intervals are half-open, ``[start_frame, stop_frame)``;
* frame rate is a fraction ``fps_num / fps_den``, never forced to a whole number; times are seconds, suffix ``_s``;
* pixels of the full-resolution *source* frame, x right, y down, origin at the top-left corner of the top-left pixel
  (the centre of that pixel is 0.5, 0.5);
* boxes are ``x_min, y_min, x_max, y_max``;
* missing is NaN; a human label has ``confidence`` NaN and carries its ``source``;
* a frame is named by ``video_id`` and ``frame``; as one word, ``frame_uid``: ``<video_id>:<frame, 8 digits>``.

Percentages, centre boxes, frames counted from 1 and inclusive ends exist only inside the ``io`` file of their format.
"""
