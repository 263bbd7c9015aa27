"""A procedural phantom: studies that look like radiographs, with exact boxes, masks, labels, reports and questions."""

from data_pipelines.synthetic.study import appointments, studies, study

__all__ = ["appointments", "studies", "study"]
