"""A procedural phantom: studies that look like radiographs, with exact boxes, masks, labels, reports and questions."""

from data_pipelines.synthetic.study import studies, study

__all__ = ["studies", "study"]
