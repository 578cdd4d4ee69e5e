# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/examples.tfrecord: tf.train.Example messages as Google's protobuf package
serialises them, in frames with a CRC32C of this file's own. Needs `pip install protobuf`.

Row i of 0 .. 19 has
  x      float_list   i, i / 3 (as float32), -i
  y      int64_list   i, -i, i << 40
  label  int64_list   i % 2
  name   bytes_list   i bytes of value i
  words  bytes_list   two texts, which nobody asks for
"""
import pathlib
import struct

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

T = descriptor_pb2.FieldDescriptorProto


def table():
    out = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        out.append(i)
    return out


TABLE = table()


def masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data):
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc32c(head)) + data + struct.pack("<I", masked_crc32c(data))


def field(message, name, number, kind, label=T.LABEL_OPTIONAL, type_name=None, oneof=None):
    made = message.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)
    if oneof is not None:
        made.oneof_index = oneof


def example_class():
    """tensorflow/core/example/{example,feature}.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tf", syntax="proto3")
    for name, kind in (("BytesList", T.TYPE_BYTES), ("FloatList", T.TYPE_FLOAT), ("Int64List", T.TYPE_INT64)):
        field(file.message_type.add(name=name), "value", 1, kind, T.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), 1):
        kind = ".tf." + "".join(part.capitalize() for part in name.split("_"))
        field(feature, name, number, T.TYPE_MESSAGE, type_name=kind, oneof=0)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    field(entry, "key", 1, T.TYPE_STRING)
    field(entry, "value", 2, T.TYPE_MESSAGE, type_name=".tf.Feature")
    field(features, "feature", 1, T.TYPE_MESSAGE, T.LABEL_REPEATED, ".tf.Features.FeatureEntry")
    field(file.message_type.add(name="Example"), "features", 1, T.TYPE_MESSAGE, type_name=".tf.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tf.Example"))


def main():
    example = example_class()
    out = b""
    for i in range(20):
        message = example()
        feature = message.features.feature
        feature["x"].float_list.value.extend([i, i / 3, -i])
        feature["y"].int64_list.value.extend([i, -i, i << 40])
        feature["label"].int64_list.value.append(i % 2)
        feature["name"].bytes_list.value.append(bytes([i]) * i)
        feature["words"].bytes_list.value.extend([b"one", b"two"])
        out += frame(message.SerializeToString(deterministic=i % 2 == 0))
    pathlib.Path(__file__).with_name("examples.tfrecord").write_bytes(out)


if __name__ == "__main__":
    main()
